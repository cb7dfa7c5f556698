"""A compiled loop for the bicubic resizing of crops on a CPU: what crops.py does with whole tensors elsewhere.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled, compiled_fused

_0, _1, _2 = np.float32(0), np.float32(1), np.float32(2)
_SLOPE, _STEPS = np.float32(-0.75), np.float32(1024)


@compiled
def _taps(first: int, length: int, flipped: bool, index: np.ndarray, weight: np.ndarray) -> None:
    """See crops.bicubic_taps; of one axis of one image, index and weight (S, 4)."""
    side = len(index)
    scale = np.float32(length) / np.float32(side)
    for j in range(side):
        place = np.float32(side - 1 - j if flipped else j) * scale
        low = int(place)
        x = np.float32(np.rint((place - np.float32(low)) * _STEPS)) / _STEPS
        for k in range(4):
            at = low + k - 1
            at = length - 1 if at >= length else at
            index[j, k] = first + (0 if at < 0 else at)
            d = abs(x + _1 - np.float32(k))
            if k == 1 or k == 2:
                weight[j, k] = ((_SLOPE + _2) * d - (_SLOPE + np.float32(3))) * d * d + _1
            else:
                weight[j, k] = ((_SLOPE * d - np.float32(5) * _SLOPE) * d + np.float32(8) * _SLOPE) * d
                weight[j, k] -= np.float32(4) * _SLOPE


@compiled_fused
def _rows(
    source: np.ndarray, index: np.ndarray, weight: np.ndarray, unit: np.float32, left: int, output: np.ndarray
) -> None:
    """One channel (H, W), times unit, to the rows of (S, B), the columns from ``left`` on."""
    width = output.shape[1]
    for j in range(len(index)):
        a, b, c, d = unit * weight[j, 0], unit * weight[j, 1], unit * weight[j, 2], unit * weight[j, 3]
        before, first = source[index[j, 0], left : left + width], source[index[j, 1], left : left + width]
        second, after = source[index[j, 2], left : left + width], source[index[j, 3], left : left + width]
        line = output[j]
        for i in range(width):
            near = b * np.float32(first[i]) + c * np.float32(second[i])
            line[i] = a * np.float32(before[i]) + near + d * np.float32(after[i])


@compiled
def _turn(source: np.ndarray, output: np.ndarray) -> None:
    """(A, B) to (B, A)."""
    for top in range(0, len(source) - len(source) % 4, 4):
        a, b, c, d = source[top], source[top + 1], source[top + 2], source[top + 3]
        for i in range(source.shape[1]):
            line = output[i]
            line[top], line[top + 1], line[top + 2], line[top + 3] = a[i], b[i], c[i], d[i]
    for j in range(len(source) - len(source) % 4, len(source)):
        for i in range(source.shape[1]):
            output[i, j] = source[j, i]


@compiled_fused
def _columns(lines: np.ndarray, index: np.ndarray, weight: np.ndarray, left: int, output: np.ndarray) -> None:
    """The columns (B, S), each a line, to (T, S), clamped."""
    for i in range(len(index)):
        a, b, c, d = weight[i, 0], weight[i, 1], weight[i, 2], weight[i, 3]
        before, first = lines[index[i, 0] - left], lines[index[i, 1] - left]
        second, after = lines[index[i, 2] - left], lines[index[i, 3] - left]
        line = output[i]
        for j in range(len(line)):
            line[j] = min(max(a * before[j] + b * first[j] + c * second[j] + d * after[j], _0), _1)


@compiled
def resample(images: np.ndarray, unit: np.float32, boxes: np.ndarray, flips: np.ndarray, output: np.ndarray) -> None:
    """Every image's box, turned around or not, at the size of the output, clamped to [0, 1].

    Args:
        images: (N, C, H, W) uint8 or float32.
        unit: what the images are multiplied with.
        boxes: (N, 4) int64, first row and column, height and width.
        flips: (N, 2) bool.
        output: (N, C, SH, SW) float32.
    """
    height, width = output.shape[2:]
    row_index, row_weight = np.empty((height, 4), np.int64), np.empty((height, 4), np.float32)
    column_index, column_weight = np.empty((width, 4), np.int64), np.empty((width, 4), np.float32)
    turned = np.empty((width, height), dtype=np.float32)
    for n in range(len(images)):
        top, left, tall, wide = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
        _taps(top, tall, flips[n, 0], row_index, row_weight)
        _taps(left, wide, flips[n, 1], column_index, column_weight)
        once, lines = np.empty((height, wide), dtype=np.float32), np.empty((wide, height), dtype=np.float32)
        for c in range(images.shape[1]):
            # neighbors in a column lie apart: turned, both passes go along lines
            _rows(images[n, c], row_index, row_weight, unit, left, once)
            _turn(once, lines)
            _columns(lines, column_index, column_weight, left, turned)
            _turn(turned, output[n, c])
