"""Compiled loops that take a patch from a volume and its label, turned, scaled and bent, in one pass over the patch.

A two-dimensional image is a volume whose first axis has length 1.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled

ROWS = 8  # that are taken together, for they look at the same part of the volume

_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)


@compiled
def _paint(numbers: np.ndarray, table: np.ndarray, label: np.ndarray, x: int, y: int) -> None:
    """A row of set numbers, as the 0 and 1 of each class."""
    if len(table) == 2 and len(label) == 1:  # the numbers themselves
        row = label[0, x, y]
        for z in range(len(row)):
            row[z] = np.float32(numbers[z])
        return
    for k in range(len(label)):
        row = label[k, x, y]
        for z in range(len(row)):
            row[z] = table[numbers[z], k]


@compiled
def copy_patch(
    volume: np.ndarray,
    unit: np.float32,
    index: np.ndarray,
    table: np.ndarray,
    start: np.ndarray,
    mirrored: np.ndarray,
    image: np.ndarray,
    label: np.ndarray,
) -> None:
    """A patch on the volume's own grid.

    Args:
        volume: (C, X, Y, Z), multiplied by ``unit``.
        unit: see ``volume``.
        index: (X, Y, Z) as :func:`~segxfer3d.augment.kernels.labels.index_classes` fills it.
        table: (P, K) float32.
        start: (3,) first voxel; what lies outside the volume is 0.
        mirrored: (3,) bool: the patch is turned around along the axis.
        image: (C, SX, SY, SZ) float32, filled.
        label: (K, SX, SY, SZ) float32, filled.
    """
    size_x, size_y, size_z = image.shape[1:]
    before = min(max(-start[2], 0), size_z)
    after = max(before, min(size_z, index.shape[2] - start[2]))
    source = start[2] + before
    numbers = np.zeros(size_z, dtype=index.dtype)
    for x in range(size_x):
        from_x = start[0] + (size_x - 1 - x if mirrored[0] else x)
        for y in range(size_y):
            from_y = start[1] + (size_y - 1 - y if mirrored[1] else y)
            inside = 0 <= from_x < index.shape[0] and 0 <= from_y < index.shape[1] and before < after
            for c in range(len(image)):
                row = image[c, x, y, ::-1] if mirrored[2] else image[c, x, y]
                if inside:
                    line, middle = volume[c, from_x, from_y, source:], row[before:after]
                    for z in range(len(middle)):
                        middle[z] = unit * np.float32(line[z])
                    row[:before] = 0
                    row[after:] = 0
                else:
                    row[:] = 0
            if inside:
                line_of_numbers = index[from_x, from_y, source:]
                part = numbers[::-1][before:after] if mirrored[2] else numbers[before:after]
                for z in range(len(part)):
                    part[z] = line_of_numbers[z]
                _paint(numbers, table, label, x, y)
            else:
                label[:, x, y] = 0


@compiled
def _spline(size: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """First control point (size,) and the weights (size, 4) of the four control points around each voxel, for a uniform
    cubic B-spline of so many cells from the first voxel's center to the last one's."""
    first = np.empty(size, dtype=np.int64)
    weights = np.empty((size, 4), dtype=np.float32)
    for i in range(size):
        place = cells * i / max(size - 1, 1)
        first[i] = min(int(place), cells - 1)
        t = place - first[i]
        weights[i, 0] = (1 - t) ** 3 / 6
        weights[i, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
        weights[i, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        weights[i, 3] = t**3 / 6
    return first, weights


@compiled
def _combine(points: np.ndarray, weights: np.ndarray, output: np.ndarray) -> None:
    """The weighted sum (B,) of four rows (4, B)."""
    first, second, third, fourth = points[0], points[1], points[2], points[3]
    for b in range(len(output)):
        output[b] = weights[0] * first[b] + weights[1] * second[b] + weights[2] * third[b] + weights[3] * fourth[b]


@compiled
def _bend_row(line: np.ndarray, first: np.ndarray, weights: np.ndarray, bend: np.ndarray) -> None:
    """Displacements (3, S) of a row, from the control points (3, N) of its line."""
    for a in range(3):
        points, row = line[a], bend[a]
        for z in range(len(row)):
            near, w = points[first[z] : first[z] + 4], weights[z]
            row[z] = w[0] * near[0] + w[1] * near[1] + w[2] * near[2] + w[3] * near[3]


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
    """Whether all eight neighbors of every place lie inside the volume; places that are not bent lie in a line."""
    stride = 1 if bent else max(places.shape[1] - 1, 1)
    for a in range(3):
        last = shape[a] - 1 if shape[a] > 1 else 1
        for place in places[a, ::stride]:
            if not (place >= 0 and place < last):
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
        shares_x[i], shares_y[i], shares_z[i] = xs[i] - np.float32(x), ys[i] - np.float32(y), zs[i] - np.float32(z)
        at[i] = x * along_x + y * along_y + z
        x, y, z = np.int32(xs[i] + _HALF), np.int32(ys[i] + _HALF), np.int32(zs[i] + _HALF)
        nearest[i] = x * along_x + y * along_y + z


@compiled
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
    table: np.ndarray,
    center: np.ndarray,
    matrix: np.ndarray,
    field: np.ndarray,
    image: np.ndarray,
    label: np.ndarray,
) -> None:
    """A patch at any places of the volume: linear for the image, the nearest voxel for the label.

    Args:
        volume, unit, index, table, image, label: as for :func:`copy_patch`.
        center: (3,) where the patch's middle lies, in voxels of the volume.
        matrix: (3, 3) from steps in the patch to steps in the volume.
        field: (N, N, 3, N) float32 control points of a cubic B-spline over the patch, of displacements in voxels of the
            volume; (0, 0, 3, 0) where there are none.
    """
    size_x, size_y, size_z = image.shape[1:]
    edge = field.shape[0]
    steps = (np.int32(volume.shape[2] * volume.shape[3] if volume.shape[1] > 1 else 0), np.int32(volume.shape[3]))
    at, nearest = np.empty(size_z, dtype=np.uint32), np.empty(size_z, dtype=np.uint32)
    shares = np.empty((3, size_z), dtype=np.float32)
    places = np.empty((3, size_z), dtype=np.float32)
    bend = np.empty((3, size_z if edge else 0), dtype=np.float32)
    numbers = np.empty(size_z, dtype=index.dtype)
    first_x, weights_x = _spline(size_x, max(edge - 3, 1))
    first_y, weights_y = _spline(size_y, max(edge - 3, 1))
    first_z, weights_z = _spline(size_z, max(edge - 3, 1))
    points = field.reshape((edge, edge * 3 * edge))
    sheet = np.empty((edge, 3 * edge), dtype=np.float32)
    line = np.empty((3, edge), dtype=np.float32)
    for tile in range(size_x * -(-size_y // ROWS)):
        x, begin = tile % size_x, tile // size_x * ROWS
        if edge:
            _combine(points[first_x[x] : first_x[x] + 4], weights_x[x], sheet.reshape(edge * 3 * edge))
        for y in range(begin, min(begin + ROWS, size_y)):
            if edge:
                _combine(sheet[first_y[y] : first_y[y] + 4], weights_y[y], line.reshape(3 * edge))
                _bend_row(line, first_z, weights_z, bend)
            _place_row(center, matrix, x - (size_x - 1) / 2, y - (size_y - 1) / 2, (size_z - 1) / 2, bend, places)
            inside = _is_inside(places, edge > 0, index.shape)
            if inside:
                _locate(places, steps, at, nearest, shares)
            for c in range(len(image)):
                if inside:
                    _interpolate_inside(volume[c].reshape(-1), steps, unit, at, shares, image[c, x, y])
                else:
                    _interpolate(volume[c], unit, places, image[c, x, y])
            if inside:
                _pick_inside(index.reshape(-1), nearest, numbers)
            else:
                _pick(index, places, numbers)
            _paint(numbers, table, label, x, y)
