"""The options that say how a trained model goes through what it is applied to."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option


@dataclass(frozen=True)
class WindowSize(Group):
    """The windows of a trained model of volumes."""

    window: tuple[int, int, int] | None = option(
        None, "voxels of an inference window; none: what needs least where overlap is none, else the patch of training",
        least=1, most=2048, text="three whole numbers up to 2048",
    )  # fmt: skip


@dataclass(frozen=True)
class Mirroring(Group):
    """What a trained model sees turned around too."""

    mirroring: bool | None = option(
        None, "see everything mirrored too, at 2, 4 or 8 times the time; none: along the axes that the model says; "
        "True: along these or, where it says none, all; False: not at all",
    )  # fmt: skip
