"""The option that says where preprocessed volumes are kept."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

MEMORY = "memory"  # and not on disk


@dataclass(frozen=True)
class Store(Group):
    """Where volumes are kept that are too many for memory."""

    store: str = option(
        "", "folder of preprocessed volumes, where they are too many for memory; nothing: one in the user's cache "
        "folder; memory: all in memory, as far as they fit", path="place", text="a folder, or memory",
        changes_result=False, tells_arms=False,
    )  # fmt: skip
