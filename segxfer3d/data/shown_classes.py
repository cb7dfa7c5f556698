"""Which classes labeled cases show, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segxfer3d.augment.stored_masks import StoredMasks
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.errors import InputError, some


def unseen_classes(items: Sequence[Item], classes: Mapping[int, str]) -> dict[int, str]:
    """The classes of which no case shows a voxel: label value to name.

    Args:
        items: held cases, each with its ``label`` (K, *spatial).
        classes: label value to name, in the order of the channels.
    """
    unseen = dict(enumerate(classes.items()))
    for number in range(len(items)):
        label: Any = items[number]["label"]
        unseen = {k: entry for k, entry in unseen.items() if not _shows(label, k)}
        if not unseen:
            break
    return dict(unseen.values())


def _shows(label: Any, channel: int) -> bool:
    return label.shows(channel) if isinstance(label, StoredMasks) else bool((label[channel] > 0).any())


def refuse_unseen(items: Sequence[Item], classes: Mapping[int, str]) -> None:
    """Refuse labeled cases that lack a class altogether.

    Args:
        items, classes: see :func:`unseen_classes`.

    Raises:
        InputError: a class that no case shows.
    """
    if unseen := unseen_classes(items, classes):
        raise InputError(
            f"none of the {len(items)} labeled cases shows the class {some(list(unseen.values()), 3, ', ')}, which can "
            "not be learned then; expected more labels (--label_count, --label_fraction) or another draw (--seed)"
        )
