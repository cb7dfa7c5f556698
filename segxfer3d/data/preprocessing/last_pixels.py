"""Targets that would vanish where a label is reduced keep a pixel, so that no case with a target counts as empty."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8 = NDArray[np.uint8]
_STEP = 32  # sizes that are named are multiples of it


def keep_last_pixels(label: UInt8, reduced: UInt8, valid: UInt8, content: tuple[int, int, int, int]) -> int:
    """Give a pixel to every class that a label has and its reduced copy has lost: the one that it covers most.

    Args:
        label: (K, H, W) of 0 and 1, at the file's own size.
        reduced: (K, S, S), the same by nearest pixels; changed in place.
        valid: (1, S, S), what counts; changed in place.
        content: top, left, height and width of the picture in the reduced copy.

    Returns:
        the size of a side at which the smallest of them would keep a pixel by itself, by the shorter side of the box
        around it; 0 where nothing vanished.
    """
    lost = np.flatnonzero(label.any((1, 2)) & ~reduced.any((1, 2)))
    if not lost.size:
        return 0
    top, left, height, width = content
    inside = np.s_[:, top : top + height, left : left + width]
    needed = 1.0
    for number in lost.tolist():
        share = Image.fromarray(label[number].astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        only = reduced[inside].sum((1, 2), keepdims=True) == 1  # of classes that would vanish in their turn
        taken = (reduced[inside].astype(bool) & only).any(0)
        row, column = divmod(int(np.where(taken, -1, np.asarray(share)).argmax()), width)
        reduced[inside][:, row, column] = 0
        reduced[inside][number, row, column] = 1
        valid[inside][0, row, column] = 1
        rows, columns = (np.flatnonzero(label[number].any(axis)) for axis in (1, 0))
        side = min(np.ptp(rows), np.ptp(columns)) + 1
        needed = max(needed, max(label.shape[1:]) / side)
    return _STEP * math.ceil(needed / _STEP)
