"""Compiled loops that take a patch from a volume and its label, turned, scaled and bent, in one pass over the patch.

A two-dimensional image is a volume whose first axis has length 1.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segxfer3d.augment.compiled import compiled, compiled_fused

LINE = 16  # numbers that come from memory together
ROWS = 8  # that are taken together, for they look at the same part of the volume

_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def _touch(volume: np.ndarray, index: np.ndarray, x: int, ys: tuple[int, int], zs: tuple[int, int]) -> Any:
    """Read a few voxels of each row of a plane, so that the memory's many answers come at once: the loops after this
    would wait for each line by itself. The sum means nothing; without it nothing would be read."""
    total = _0
    last = zs[1] - 1
    for y in range(max(ys[0], 0), min(ys[1], index.shape[1])):
        for c in range(len(volume)):
            row = volume[c, x, y]
            for z in range(zs[0], last, LINE):
                total += np.float32(row[z])
            total += np.float32(row[last])
        total += np.float32(index[x, y, zs[0]]) + np.float32(index[x, y, last])
    return total


@compiled
def copy_patch(
    volume: np.ndarray,
    unit: np.float32,
    index: np.ndarray,
    start: np.ndarray,
    mirrored: np.ndarray,
    image: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """A patch on the volume's own grid.

    Args:
        volume: (C, X, Y, Z), multiplied by ``unit``.
        unit: see ``volume``.
        index: (X, Y, Z) as :func:`~segxfer3d.augment.kernels.labels.index_classes` fills it.
        start: (3,) first voxel; what lies outside the volume is 0.
        mirrored: (3,) bool: the patch is turned around along the axis.
        image: (C, SX, SY, SZ) float32, filled.
        numbers: (SX, SY, SZ) of the type of ``index``, filled; 0 outside.
    """
    size_x, size_y, size_z = image.shape[1:]
    before = min(max(-start[2], 0), size_z)
    after = max(before, min(size_z, index.shape[2] - start[2]))
    source = start[2] + before
    first, last = (size_z - after, size_z - before) if mirrored[2] else (before, after)
    for x in range(size_x):
        from_x = start[0] + (size_x - 1 - x if mirrored[0] else x)
        if 0 <= from_x < index.shape[0] and before < after:
            image[0, x, 0, 0] = _touch(
                volume, index, from_x, (start[1], start[1] + size_y), (source, source + after - before)
            )
        for y in range(size_y):
            from_y = start[1] + (size_y - 1 - y if mirrored[1] else y)
            inside = 0 <= from_x < index.shape[0] and 0 <= from_y < index.shape[1] and before < after
            for c in range(len(image)):
                row = image[c, x, y]
                if inside:
                    _copy_row(volume[c, from_x, from_y, source:], unit, row[first:last], mirrored[2])
                row[: first if inside else size_z] = 0
                row[last:] = 0
            picked = numbers[x, y]
            if inside:
                _copy_row(index[from_x, from_y, source:], _1, picked[first:last], mirrored[2])
            picked[: first if inside else size_z] = 0
            picked[last:] = 0


@compiled
def _copy_row(line: np.ndarray, unit: np.float32, row: np.ndarray, mirrored: bool) -> None:
    """The line's first numbers times unit, in their order or turned around."""
    end = len(row) - 1
    if mirrored:
        for z in range(len(row)):
            row[end - z] = unit * np.float32(line[z])
    else:
        for z in range(len(row)):
            row[z] = unit * np.float32(line[z])


@compiled
def _combine(points: np.ndarray, weights: np.ndarray, output: np.ndarray) -> None:
    """The weighted sum (B,) of rows (N, B)."""
    output[:] = 0
    for n in range(len(points)):
        row, weight = points[n], weights[n]
        for b in range(len(output)):
            output[b] += weight * row[b]


@compiled
def _place_row(
    center: np.ndarray, matrix: np.ndarray, x: float, y: float, middle: float, bend: np.ndarray, places: np.ndarray
) -> None:
    """Where the voxels of a row lie in the volume: fill places (3, S); bend (3, S or 0) is added."""
    for a in range(3):
        begin = np.float32(center[a] + matrix[a, 0] * x + matrix[a, 1] * y - matrix[a, 2] * middle)
        step, row, more = np.float32(matrix[a, 2]), places[a], bend[a]
        for z in range(len(row)):
            row[z] = begin + step * np.float32(z)
        for z in range(len(more)):
            row[z] += more[z]


@compiled
def _is_inside(places: np.ndarray, bent: bool, shape: tuple[int, int, int]) -> bool:
    """Whether all eight neighbors of every place lie inside the volume; places that are not bent lie in a line.
    An image has no outside along x."""
    last = places.shape[1] - 1
    for a in range(3):
        end = shape[a] - 1 if a or shape[a] > 1 else 1
        for z in range(0, last + 1, 1 if bent or last == 0 else last):
            if not (places[a, z] >= 0 and places[a, z] < end):
                return False
    return True


@compiled
def _locate(
    places: np.ndarray, steps: tuple[np.int32, np.int32], at: np.ndarray, nearest: np.ndarray, shares: np.ndarray
) -> None:
    """For a row of places inside the volume (V,): fill at and nearest (S,) with the voxels below and nearest to them,
    shares (3, S) with how far they are beyond the voxel below along each axis."""
    along_x, along_y = steps
    xs, ys, zs = places[0], places[1], places[2]
    shares_x, shares_y, shares_z = shares[0], shares[1], shares[2]
    for i in range(len(at)):
        x, y, z = np.int32(xs[i]), np.int32(ys[i]), np.int32(zs[i])
        share_x, share_y, share_z = xs[i] - np.float32(x), ys[i] - np.float32(y), zs[i] - np.float32(z)
        below = x * along_x + y * along_y + z
        shares_x[i], shares_y[i], shares_z[i] = share_x, share_y, share_z
        at[i] = below
        below += along_x if share_x >= _HALF else np.int32(0)
        below += along_y if share_y >= _HALF else np.int32(0)
        nearest[i] = below + np.int32(share_z >= _HALF)


@compiled_fused
def _interpolate_inside(
    volume: np.ndarray,
    steps: tuple[np.int32, np.int32],
    unit: np.float32,
    at: np.ndarray,
    shares: np.ndarray,
    row: np.ndarray,
) -> None:
    """Linear between eight neighbors, volume (V,), places as :func:`_locate` gives them."""
    one, along_x, along_y = np.uint64(1), np.uint64(steps[0]), np.uint64(steps[1])
    shares_x, shares_y, shares_z = shares[0], shares[1], shares[2]
    for i in range(len(row)):
        v, share = np.uint64(at[i]), shares_z[i]
        a, b = np.float32(volume[v]), np.float32(volume[v + one])
        c, d = np.float32(volume[v + along_y]), np.float32(volume[v + along_y + one])
        v += along_x
        e, f = np.float32(volume[v]), np.float32(volume[v + one])
        g, h = np.float32(volume[v + along_y]), np.float32(volume[v + along_y + one])
        a += share * (b - a)
        c += share * (d - c)
        e += share * (f - e)
        g += share * (h - g)
        share = shares_y[i]
        a += share * (c - a)
        e += share * (g - e)
        row[i] = unit * (a + shares_x[i] * (e - a))


@compiled
def _interpolate(volume: np.ndarray, unit: np.float32, places: np.ndarray, row: np.ndarray) -> None:
    """Linear, a volume (X, Y, Z) that is surrounded by 0; along an axis of length 1 there is no outside."""
    flat = volume.shape[0] == 1
    for z in range(len(row)):
        x, y, w = np.floor(places[0, z]), np.floor(places[1, z]), np.floor(places[2, z])
        share_x, share_y, share_z = places[0, z] - x, places[1, z] - y, places[2, z] - w
        total = _0
        for i in range(2):
            at_x = 0 if flat else np.int64(x) + i
            if at_x < 0 or at_x >= volume.shape[0]:
                continue
            part_x = share_x if i else _1 - share_x
            for j in range(2):
                at_y = np.int64(y) + j
                if at_y < 0 or at_y >= volume.shape[1]:
                    continue
                part_y = part_x * (share_y if j else _1 - share_y)
                for k in range(2):
                    at_z = np.int64(w) + k
                    if 0 <= at_z < volume.shape[2]:
                        part = part_y * (share_z if k else _1 - share_z)
                        total += part * np.float32(volume[at_x, at_y, at_z])
        row[z] = unit * total


@compiled
def _pick_inside(index: np.ndarray, nearest: np.ndarray, numbers: np.ndarray) -> None:
    """The set numbers of the nearest voxels, index (V,)."""
    for z in range(len(numbers)):
        numbers[z] = index[nearest[z]]


@compiled
def _touch_places(volume: np.ndarray, index: np.ndarray, at: np.ndarray, ahead: np.uint64, inside: np.ndarray) -> Any:
    """:func:`_touch` for the rows of a tile that are inside: at (R, S) and ``ahead`` of it, volume and index (V,)."""
    total = _0
    for r in np.flatnonzero(inside):
        for z in range(0, at.shape[1], 2):
            total += np.float32(volume[at[r, z]]) + np.float32(volume[at[r, z] + ahead])
        for z in range(0, at.shape[1], 4):
            total += np.float32(index[at[r, z] + ahead])
    return total


@compiled
def _pick(index: np.ndarray, places: np.ndarray, numbers: np.ndarray) -> None:
    """The set numbers of the nearest voxels, index (X, Y, Z); 0 outside."""
    flat = index.shape[0] == 1
    for z in range(len(numbers)):
        x = 0 if flat else np.int64(np.floor(places[0, z] + _HALF))
        y, w = np.int64(np.floor(places[1, z] + _HALF)), np.int64(np.floor(places[2, z] + _HALF))
        inside = 0 <= x < index.shape[0] and 0 <= y < index.shape[1] and 0 <= w < index.shape[2]
        numbers[z] = index[x, y, w] if inside else 0


@compiled
def resample_patch(
    volume: np.ndarray,
    unit: np.float32,
    index: np.ndarray,
    center: np.ndarray,
    matrix: np.ndarray,
    field: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray, np.ndarray],
    image: np.ndarray,
    numbers: np.ndarray,
) -> None:
    """A patch at any places of the volume: linear for the image, the nearest voxel for the set numbers.

    Args:
        volume, unit, index, image, numbers: as for :func:`copy_patch`.
        center: (3,) where the patch's middle lies, in voxels of the volume.
        matrix: (3, 3) from steps in the patch to steps in the volume.
        field: (N, N, 3, N) float32 displacements in voxels of the volume, at the control points of a spline over the
            patch; (0, 0, 3, 0) where there are none.
        weights: for each axis (S, N) float32, of the control points at each voxel.
    """
    size_x, size_y, size_z = image.shape[1:]
    edge = field.shape[0]
    steps = (np.int32(volume.shape[2] * volume.shape[3] if volume.shape[1] > 1 else 0), np.int32(volume.shape[3]))
    ahead = np.uint64(steps[0] + steps[1])
    volumes, flat_index = volume.reshape((len(volume), index.size)), index.reshape(index.size)
    at, nearest = np.empty((ROWS, size_z), dtype=np.uint32), np.empty((ROWS, size_z), dtype=np.uint32)
    shares, places = np.empty((ROWS, 3, size_z), dtype=np.float32), np.empty((ROWS, 3, size_z), dtype=np.float32)
    bend = np.empty((3, size_z if edge else 0), dtype=np.float32)
    inside = np.empty(ROWS, dtype=np.bool_)
    points = field.reshape((edge, edge * 3 * edge))
    sheet = np.empty((edge, 3 * edge), dtype=np.float32)
    line = np.empty((3, edge), dtype=np.float32)
    for tile in range(size_x * -(-size_y // ROWS)):
        x, begin = tile % size_x, tile // size_x * ROWS
        rows = min(ROWS, size_y - begin)
        if edge:
            _combine(points, weights[0][x], sheet.reshape(edge * 3 * edge))
        for r in range(rows):
            y = begin + r
            if edge:
                _combine(sheet, weights[1][y], line.reshape(3 * edge))
                for a in range(3):
                    _combine(weights[2].T, line[a], bend[a])
            _place_row(center, matrix, x - (size_x - 1) / 2, y - (size_y - 1) / 2, (size_z - 1) / 2, bend, places[r])
            inside[r] = _is_inside(places[r], edge > 0, index.shape)
            if inside[r]:
                _locate(places[r], steps, at[r], nearest[r], shares[r])
        for c in range(len(image)):
            image[c, x, begin, 0] = _touch_places(volumes[c], flat_index, at, ahead, inside[:rows])
            for r in range(rows):
                if inside[r]:
                    _interpolate_inside(volumes[c], steps, unit, at[r], shares[r], image[c, x, begin + r])
                else:
                    _interpolate(volume[c], unit, places[r], image[c, x, begin + r])
        for r in range(rows):
            if inside[r]:
                _pick_inside(flat_index, nearest[r], numbers[x, begin + r])
            else:
                _pick(index, places[r], numbers[x, begin + r])
