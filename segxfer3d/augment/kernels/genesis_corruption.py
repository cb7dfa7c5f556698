"""Compiled loops of the Models Genesis corruption: each applies the drawn parameters of one part to a cube.

The order of a window's voxels and the noise of painting come from SplitMix64 here, from streams of their own.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled
from segxfer3d.augment.kernels.genesis_draws import IN_PAINTING, NOISE, ORDER, OUT_PAINTING
from segxfer3d.augment.kernels.splitmix64 import STEP, mix, stream

CURVE_POINTS = 1000

_S32, _S40 = np.uint64(32), np.uint64(40)
_BUCKETS = 4096  # a power of two, so that a number times it is exact


@compiled
def flip(source: np.ndarray, flips: np.ndarray, output: np.ndarray, again: np.ndarray) -> None:
    """Write source, turned around as the flips say, to both outputs."""
    along_x = along_y = False
    for axis in flips:
        along_x ^= axis == 0
        along_y ^= axis == 1
    for x in range(source.shape[0]):
        from_x = source.shape[0] - 1 - x if along_x else x
        for y in range(source.shape[1]):
            from_y = source.shape[1] - 1 - y if along_y else y
            for z in range(source.shape[2]):
                output[x, y, z] = again[x, y, z] = source[from_x, from_y, z]


@compiled
def _voxels_of_windows(windows: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where each size of window begins in a list, and the list: its voxels' distances from its first voxel.

    A flat list takes about half the time of three nested loops of a few rounds each.
    """
    a = b = c = 1
    for i in range(len(windows)):
        a, b, c = max(a, windows[i, 3] + 1), max(b, windows[i, 4] + 1), max(c, windows[i, 5] + 1)
    begins = np.empty((a, b, c), dtype=np.int64)
    count = 0
    for i in range(a):
        for j in range(b):
            for k in range(c):
                begins[i, j, k] = count
                count += i * j * k
    distances = np.empty(count, dtype=np.uint32)
    count = 0
    for i in range(a):
        for j in range(b):
            for k in range(c):
                for x in range(i):
                    for y in range(j):
                        for z in range(k):
                            distances[count] = (x * shape[1] + y) * shape[2] + z
                            count += 1
    return begins, distances


@compiled
def shuffle(source: np.ndarray, windows: np.ndarray, key: np.uint64, output: np.ndarray) -> None:
    """Write every window of source, its voxels in random order, over the same window of output."""
    if len(windows) == 0:
        return
    begins, distances = _voxels_of_windows(windows, source.shape)
    from_voxels, to_voxels = source.reshape(-1), output.reshape(-1)
    a, b, c = begins.shape
    drawn = np.empty((a - 1) * (b - 1) * (c - 1), dtype=source.dtype)
    single = np.uint64(1)  # unsigned numbers throughout: signed ones are tested for being negative at each access
    for i in range(len(windows)):
        x, y, z, nx, ny, nz = windows[i]
        corner = np.uint64((np.int64(x) * source.shape[1] + y) * source.shape[2] + z)
        begin, left = np.uint64(begins[nx, ny, nz]), np.uint64(nx * ny * nz)
        for j in range(left):
            drawn[j] = from_voxels[corner + distances[begin + j]]
        state = mix(key + STEP * np.uint64(i))
        for j in range(left):
            state += STEP
            chosen = ((mix(state) >> _S32) * left) >> _S32
            left -= single
            to_voxels[corner + distances[begin + j]] = drawn[chosen]
            drawn[chosen] = drawn[left]


@compiled
def map_intensity(cube: np.ndarray, controls: np.ndarray, increasing: bool) -> None:
    """Replace every v of the cube by the y of the Bezier curve where its x is v (linear between its
    points)."""
    # Rows of x, y, slope and next x: one segment of the curve lies in half a cache line.
    curve = np.zeros((CURVE_POINTS, 4))
    for i in range(CURVE_POINTS):
        t = i / (CURVE_POINTS - 1)
        s = 1 - t
        x = 3 * s * s * t * controls[0, 0] + 3 * s * t * t * controls[1, 0] + t * t * t
        y = 3 * s * s * t * controls[0, 1] + 3 * s * t * t * controls[1, 1] + t * t * t
        # Neither coordinate of such a curve ever turns back; the maximum only undoes rounding.
        curve[i, 0] = max(x, curve[i - 1, 0]) if i else x
        curve[i if increasing else CURVE_POINTS - 1 - i, 1] = y
    for i in range(CURVE_POINTS - 1):
        width = curve[i + 1, 0] - curve[i, 0]
        curve[i, 2] = (curve[i + 1, 1] - curve[i, 1]) / width if width > 0 else 0.0
        curve[i, 3] = curve[i + 1, 0]
    first = np.empty(_BUCKETS, dtype=np.uint16)  # the segment in which each bucket of intensities begins
    segment = np.uint64(0)
    for bucket in range(_BUCKETS):
        while curve[segment, 3] <= bucket / _BUCKETS:
            segment += np.uint64(1)
        first[bucket] = segment
    at_0, at_1 = curve[0, 1], curve[-1, 1]
    values = cube.reshape(-1)
    for i in range(len(values)):
        value = np.float64(values[i])
        if value > 0 and value < 1:
            segment = np.uint64(first[np.uint64(value * _BUCKETS)])
            segment += np.uint64(curve[segment, 3] <= value)  # spares nearly all rounds of the loop, a branch less
            while curve[segment, 3] <= value:
                segment += np.uint64(1)
            values[i] = curve[segment, 1] + curve[segment, 2] * (value - curve[segment, 0])
        elif value <= 0:
            values[i] = at_0
        elif value >= 1:
            values[i] = at_1


@compiled
def noise_at(key: np.uint64, voxel: int) -> np.float32:
    """Uniform noise in [0, 1), 24 bits, of the voxel with this number in the cube."""
    return np.float32(mix(key + STEP * np.uint64(voxel)) >> _S40) * np.float32(2.0**-24)


@compiled
def fill_boxes(cube: np.ndarray, boxes: np.ndarray, key: np.uint64) -> None:
    """In-painting: noise inside the boxes."""
    for x0, y0, z0, nx, ny, nz in boxes:
        for x in range(x0, x0 + nx):
            for y in range(y0, y0 + ny):
                row = (x * cube.shape[1] + y) * cube.shape[2]
                for z in range(z0, z0 + nz):
                    cube[x, y, z] = noise_at(key, row + z)


@compiled
def fill_around(cube: np.ndarray, boxes: np.ndarray, key: np.uint64) -> None:
    """Out-painting: noise outside the boxes."""
    kept = np.empty(cube.shape[2], dtype=np.bool_)
    for x in range(cube.shape[0]):
        for y in range(cube.shape[1]):
            for z in range(cube.shape[2]):
                kept[z] = False
            for x0, y0, z0, nx, ny, nz in boxes:
                if x0 <= x < x0 + nx and y0 <= y < y0 + ny:
                    for z in range(z0, z0 + nz):
                        kept[z] = True
            row = (x * cube.shape[1] + y) * cube.shape[2]
            for z in range(cube.shape[2]):
                if not kept[z]:
                    cube[x, y, z] = noise_at(key, row + z)


@compiled
def apply_all(
    source: np.ndarray,
    seed: np.uint64,
    noise_seed: np.uint64,
    flips: np.ndarray,
    windows: np.ndarray,
    controls: np.ndarray,
    increasing: bool,
    painting: int,
    boxes: np.ndarray,
    corrupted: np.ndarray,
    target: np.ndarray,
) -> None:
    """Write the corrupted and the clean cube; empty windows or controls leave their part out."""
    flip(source, flips, target, corrupted)
    shuffle(target, windows, stream(seed, ORDER), corrupted)
    if len(controls):
        map_intensity(corrupted, controls, increasing)
    if painting == IN_PAINTING:
        fill_boxes(corrupted, boxes, stream(noise_seed, NOISE))
    elif painting == OUT_PAINTING:
        fill_around(corrupted, boxes, stream(noise_seed, NOISE))
