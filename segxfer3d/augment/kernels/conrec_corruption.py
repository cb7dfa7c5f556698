"""Compiled loops for ConRec's corruption on a CPU: what conrec_parts.py does with whole tensors elsewhere.

Images have three spatial axes; the first of a two-dimensional one has length 1. Boxes are (start, start, start, length,
length, length). Both ways give the same from the same draw.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled

SHUFFLE, IN_PAINT, OUT_PAINT, MAP = range(4)
FEW = 64

_0, _1 = np.float32(0), np.float32(1)


@compiled
def _fill(image: np.ndarray, where: np.ndarray, box: np.ndarray, color: np.ndarray) -> None:
    """One color inside a box."""
    for x in range(box[0], box[0] + box[3]):
        for y in range(box[1], box[1] + box[4]):
            where[x, y, box[2] : box[2] + box[5]] = _1
            for c in range(len(image)):
                image[c, x, y, box[2] : box[2] + box[5]] = color[c]


@compiled
def _copy(source: np.ndarray, output: np.ndarray) -> None:
    """Voxel by voxel, both (V,): several times as fast as assigning arrays with more axes."""
    for i in range(len(source)):
        output[i] = source[i]


@compiled
def _keep(source: np.ndarray, image: np.ndarray, where: np.ndarray, box: np.ndarray) -> None:
    """The source again inside a box."""
    start, stop = box[2], box[2] + box[5]
    for x in range(box[0], box[0] + box[3]):
        for y in range(box[1], box[1] + box[4]):
            where[x, y, start:stop] = _0
            for c in range(len(image)):
                _copy(source[c, x, y, start:stop], image[c, x, y, start:stop])


@compiled
def _argsort(keys: np.ndarray) -> np.ndarray:
    """The order of keys, equal ones as they come; few of them are inserted one by one, faster than NumPy's sort."""
    if len(keys) > FEW:
        return np.argsort(keys, kind="mergesort")
    order = np.empty(len(keys), dtype=np.int64)
    for j in range(len(keys)):
        place = j
        while place > 0 and keys[order[place - 1]] > keys[j]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = j
    return order


@compiled
def _shuffle(
    source: np.ndarray,
    image: np.ndarray,
    where: np.ndarray,
    shape: tuple[int, int, int],
    box: np.ndarray,
    keys: np.ndarray,
    voxels: np.ndarray,
) -> None:
    """The voxels of a window in the order of their keys; source and image (C, V), where (V,)."""
    count = 0
    for x in range(box[0], box[0] + box[3]):
        for y in range(box[1], box[1] + box[4]):
            for z in range(box[2], box[2] + box[5]):
                voxels[count] = (x * shape[1] + y) * shape[2] + z
                count += 1
    order = _argsort(keys[:count])
    for j in range(count):
        where[voxels[j]] = _1
    for c in range(len(image)):
        line, shuffled = source[c], image[c]
        for j in range(count):
            shuffled[voxels[j]] = line[voxels[order[j]]]


@compiled
def _black(source: np.ndarray, where: np.ndarray, output: np.ndarray) -> None:
    """All (V,): 0 where the mask is 1, the source where it is 0."""
    for i in range(len(source)):
        output[i] = source[i] * (_1 - where[i])


@compiled
def corrupt(
    images: np.ndarray,
    kinds: np.ndarray,
    windows: np.ndarray,
    keys: np.ndarray,
    in_boxes: np.ndarray,
    out_boxes: np.ndarray,
    colors: np.ndarray,
    corrupted: np.ndarray,
    where: np.ndarray,
    blacked: np.ndarray,
) -> None:
    """Write what conrec_corruption.Corrupted holds, but for mapped images, which stay as they are in ``corrupted``.

    Args:
        images, corrupted, blacked: (N, C, X, Y, Z) float32.
        kinds: (N,).
        windows, in_boxes, out_boxes: (N, boxes, 6); length 0: none.
        keys: (shuffled images, windows, voxels).
        colors: (N, boxes, C).
        where: (N, X, Y, Z) float32.
    """
    shuffled = 0
    channels, voxels = images.shape[1], where[0].size
    flat = (len(images), channels, voxels)
    from_lines, to_lines, black_lines = images.reshape(flat), corrupted.reshape(flat), blacked.reshape(flat)
    masks = where.reshape((len(images), voxels))
    places = np.empty(keys.shape[2], dtype=np.int64)
    for n in range(len(images)):
        source, image, mask = images[n], corrupted[n], where[n]
        if kinds[n] == OUT_PAINT:
            for c in range(channels):
                to_lines[n, c, :] = colors[n, 0, c]
        else:
            for c in range(channels):
                _copy(from_lines[n, c], to_lines[n, c])
        masks[n, :] = _1 if kinds[n] >= OUT_PAINT else _0
        if kinds[n] == SHUFFLE:
            for i in range(windows.shape[1]):
                lines = from_lines[n], to_lines[n], masks[n]
                _shuffle(*lines, mask.shape, windows[n, i], keys[shuffled, i], places)
            shuffled += 1
        elif kinds[n] == IN_PAINT:
            for i in range(in_boxes.shape[1]):
                _fill(image, mask, in_boxes[n, i], colors[n, i])
        elif kinds[n] == OUT_PAINT:
            for i in range(out_boxes.shape[1]):
                _keep(source, image, mask, out_boxes[n, i])
        for c in range(channels):
            _black(from_lines[n, c], masks[n], black_lines[n, c])
