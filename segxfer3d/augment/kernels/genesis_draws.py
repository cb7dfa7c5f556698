"""Compiled draws of the Models Genesis corruption: the parameters of each part, from a random stream of its own.

Random numbers come from SplitMix64. Whole numbers below n are taken as the upper part of a 32-bit number times n, which
favors some of them by at most n / 2**32.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segxfer3d.augment.compiled import compiled
from segxfer3d.augment.kernels.splitmix64 import STEP, mix, stream

IN_PAINTING, OUT_PAINTING = 1, 2
FLIPS, WINDOWS, INTENSITY, PAINTING, ORDER, NOISE = range(6)  # the parts that have random streams of their own

_S11, _S32 = np.uint64(11), np.uint64(32)
_MARGIN = 3


@compiled
def _uniform(state: np.ndarray) -> float:
    """The next number in [0, 1), 53 bits."""
    state[0] += STEP
    return float(mix(state[0]) >> _S11) * 2.0**-53


@compiled
def _between(state: np.ndarray, low: int, high: int) -> Any:
    """The next whole number from low to high, both included."""
    state[0] += STEP
    return low + np.int64(((mix(state[0]) >> _S32) * np.uint64(high - low + 1)) >> _S32)


@compiled
def draw_flips(state: np.ndarray, coin: float, flips: np.ndarray) -> int:
    """Fill flips (3,) with 0 (x), 1 (y) or 2 (nothing); returns how many there are."""
    count = 0
    while count < 3 and _uniform(state) < coin:
        flips[count] = _between(state, 0, 2)
        count += 1
    return count


@compiled
def draw_windows(state: np.ndarray, shape: tuple[int, int, int], windows: np.ndarray) -> None:
    """Fill windows (n, 6) with a start and a size along each axis."""
    for i in range(len(windows)):
        for axis in range(3):
            size = _between(state, 1, max(1, shape[axis] // 10))
            windows[i, axis] = _between(state, 0, shape[axis] - size)
            windows[i, 3 + axis] = size


@compiled
def draw_box(state: np.ndarray, shape: tuple[int, int, int], painting: int, box: np.ndarray) -> None:
    """Fill box (6,) with a start and a size along each axis."""
    for axis in range(3):
        side = shape[axis]
        if painting == IN_PAINTING:
            size = max(1, _between(state, side // 6, side // 3))
        else:
            size = side - _between(state, 3 * side // 7, 4 * side // 7)
        margin = min(_MARGIN, (side - size) // 2)
        box[axis] = _between(state, margin, side - size - margin)
        box[3 + axis] = size


@compiled
def draw_boxes(state: np.ndarray, shape: tuple[int, int, int], painting: int, coin: float, boxes: np.ndarray) -> int:
    """Fill boxes (5, 6); returns how many there are. Out-painting has its first box for certain."""
    count = 0
    while count < len(boxes):
        certain = painting == OUT_PAINTING and count == 0
        if not certain and _uniform(state) >= coin:
            break
        draw_box(state, shape, painting, boxes[count])
        count += 1
    return count


@compiled
def draw_all(
    seed: np.uint64,
    shape: tuple[int, int, int],
    chances: np.ndarray,
    flips: np.ndarray,
    windows: np.ndarray,
    controls: np.ndarray,
    boxes: np.ndarray,
) -> tuple[int, bool, bool, bool, int, int]:
    """Draw one cube's parameters into the given arrays, each part from a stream of its own.

    Returns the number of flips, whether to shuffle, whether to map intensities, whether upward, which
    painting, the number of boxes. What is not applied is not drawn.
    """
    state = np.empty(1, dtype=np.uint64)
    state[0] = stream(seed, FLIPS)
    n_flips = draw_flips(state, chances[0], flips)
    state[0] = stream(seed, WINDOWS)
    shuffled = _uniform(state) < chances[1]
    if shuffled:
        draw_windows(state, shape, windows)
    state[0] = stream(seed, INTENSITY)
    mapped = _uniform(state) < chances[2]
    increasing = mapped and _uniform(state) < 0.5
    if mapped:
        for i in range(2):
            for j in range(2):
                controls[i, j] = _uniform(state)
    state[0] = stream(seed, PAINTING)
    painting = n_boxes = 0
    if _uniform(state) < chances[3]:
        painting = IN_PAINTING if _uniform(state) < chances[4] else OUT_PAINTING
        n_boxes = draw_boxes(state, shape, painting, chances[5], boxes)
    return n_flips, shuffled, mapped, increasing, painting, n_boxes
