"""The values of paletted masks: class indices, or what a viewer shows where the two contradict each other."""

from __future__ import annotations

from collections.abc import Collection, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segxfer3d.errors import InputError

BY_COLOR = "a palette of grays: read by what it shows, not by its indices"


class Values(NamedTuple):
    """The values of a mask (H, W), and what is to be said of how they were found."""

    array: NDArray[Any]
    note: str = ""


def palette_color(value: int) -> tuple[int, int, int]:
    """Red, green and blue of a class in PASCAL VOC's palette, in which neighbors differ: the bits of the class are
    dealt out to the three, the lowest first, and count from the highest bit down."""
    color = [0, 0, 0]
    for bit in range(8):
        color[bit % 3] |= (value >> bit & 1) << (7 - bit // 3)
    return color[0], color[1], color[2]


def palette_values(
    path: Path, mask: Image.Image, known: Collection[int], *, anything: bool, asked: Collection[int] = ()
) -> Values:
    """The values of a paletted mask.

    Indices, where the palette is PASCAL VOC's or index 0 is the darkest color that is used; of a palette of grays the
    grays, where only these are values that a mask may have, or that ``label_map`` speaks of.

    Args:
        path: for messages.
        mask: of mode P.
        known: values that a mask may have.
        anything: values beside the known ones are background.
        asked: values among the known ones that ``label_map`` speaks of.

    Raises:
        InputError: a viewer shows another background than the indices say, and the grays are no known values either.
    """
    index = np.asarray(mask)
    used = np.flatnonzero(np.bincount(index.ravel(), minlength=256)).tolist()
    colors = _colors(mask)
    if all(colors[value] == palette_color(value) for value in used):
        return Values(index)
    grays = {value: colors[value][0] for value in used} if _all_gray(colors, used) else {}
    if grays and all(value == gray for value, gray in grays.items()):
        return Values(index)
    meant_by_index, meant_by_gray = set(used) <= set(known), bool(grays) and set(grays.values()) <= set(known)
    if anything:
        meant_by_index, meant_by_gray = bool(set(used) & set(known)), bool(set(grays.values()) & set(known))
    darkest = 0 not in used or all(_luminance(colors[0]) <= _luminance(colors[value]) for value in used)
    if used == [0]:  # a mask of one value
        darkest = _luminance(colors[0]) < 128
    if meant_by_gray and (not (meant_by_index and darkest) or means_shown(asked, set(used), set(grays.values()))):
        table = np.array([grays.get(value, 0) for value in range(256)], np.uint8)
        return Values(table[index], BY_COLOR)
    if darkest or (anything and meant_by_index):
        return Values(index)
    shown = ", ".join(f"{value} is {colors[value]}" for value in used[:4])
    raise InputError(
        f"{path}: a palette whose index 0, the background, is not its darkest color ({shown}); "
        "save it as a gray file with one number a class"
    )


def means_shown(asked: Collection[int], stored: Set[int], shown: Set[int]) -> bool:
    """Whether the values that ``label_map`` speaks of are those that a viewer shows (255 for white), not those that the
    file holds."""
    return bool({*asked} & (shown - stored)) and not {*asked} & (stored - shown)


def _colors(mask: Image.Image) -> list[tuple[int, int, int]]:
    flat = (mask.getpalette("RGB") or [])[:768]
    flat += [0] * (768 - len(flat))
    return [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, 768, 3)]


def _all_gray(colors: list[tuple[int, int, int]], used: list[int]) -> bool:
    return all(len(set(colors[value])) == 1 for value in used)


def _luminance(color: tuple[int, int, int]) -> float:
    """ITU-R BT.601."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
