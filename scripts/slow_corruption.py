"""The Models Genesis corruption once more, as one would first write it: NumPy, one cube, one window at a time.

The distribution is the one of segxfer3d.augment.genesis_corruption, whose docstring says where the choices come
from. It stands beside the compiled kernels in the tests and in the benchmark, as an example of an interpreted
generator. Nothing in the package uses it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Box = tuple[slice, slice, slice]


def below(rng: np.random.Generator, bound: int) -> int:
    """A whole number from 0 to bound - 1; several times as fast as rng.integers for a single one."""
    return int(rng.random() * bound)


def draw_flips(rng: np.random.Generator) -> list[int]:
    """Up to three of 0 (x), 1 (y), 2 (nothing), until a 0.4 coin fails."""
    flips: list[int] = []
    while len(flips) < 3 and rng.random() < 0.4:
        flips.append(below(rng, 3))
    return flips


def flip(cube: Array, flips: list[int]) -> Array:
    """The cube turned around along each axis in the list."""
    for axis in flips:
        if axis < 2:
            cube = np.flip(cube, axis)
    return cube.copy()


def draw_window(rng: np.random.Generator, shape: tuple[int, ...]) -> Box:
    """A window of 1 to a tenth of the sides, anywhere in the cube."""
    window = []
    for side in shape:
        size = 1 + below(rng, max(1, side // 10))
        start = below(rng, side - size + 1)
        window.append(slice(start, start + size))
    return window[0], window[1], window[2]


def shuffle(cube: Array, windows: list[Box], order: Callable[[int, int], Array]) -> Array:
    """Shuffle the voxels of each window; order(i, n) gives the order of the n voxels of window i."""
    output = cube.copy()
    for i, window in enumerate(windows):
        block = cube[window]
        output[window] = block.ravel()[order(i, block.size)].reshape(block.shape)
    return output


def draw_controls(rng: np.random.Generator) -> tuple[Array, bool]:
    """Two control points in the unit square, and whether the map shall run upward."""
    return rng.random((2, 2)), bool(rng.random() < 0.5)


def map_intensity(cube: Array, controls: Array, increasing: bool) -> Array:
    """The cube's intensities mapped by a cubic Bezier curve from (1, 1) to (0, 0), its x (and y) values sorted."""
    t = np.linspace(1, 0, 1000)[:, None]
    start, end = np.zeros(2), np.ones(2)
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * controls[0] + 3 * (1 - t) * t**2 * controls[1] + t**3 * end
    x, y = np.sort(curve[:, 0]), curve[:, 1]
    if increasing:
        y = np.sort(y)
    mapped: Array = np.interp(cube, x, y).astype(np.float32)
    return mapped


def draw_box(rng: np.random.Generator, shape: tuple[int, ...], inside: bool) -> Box:
    """A box for in-painting (inside) or out-painting, 3 voxels from the border where it is small enough."""
    box = []
    for side in shape:
        if inside:
            size = max(1, side // 6 + below(rng, side // 3 - side // 6 + 1))
        else:
            least = 3 * side // 7
            size = side - least - below(rng, 4 * side // 7 - least + 1)
        margin = min(3, (side - size) // 2)
        start = margin + below(rng, side - size - 2 * margin + 1)
        box.append(slice(start, start + size))
    return box[0], box[1], box[2]


def draw_boxes(rng: np.random.Generator, shape: tuple[int, ...], inside: bool) -> list[Box]:
    """Up to five boxes, until a 0.95 coin fails; the first box of out-painting is certain."""
    boxes = [] if inside else [draw_box(rng, shape, inside)]
    while len(boxes) < 5 and rng.random() < 0.95:
        boxes.append(draw_box(rng, shape, inside))
    return boxes


def in_paint(cube: Array, boxes: list[Box], noise: Callable[[Box], Array]) -> Array:
    """Noise inside the boxes; noise(box) gives it."""
    cube = cube.copy()
    for box in boxes:
        cube[box] = noise(box)
    return cube


def out_paint(cube: Array, boxes: list[Box], noise: Array) -> Array:
    """Noise everywhere but inside the boxes."""
    output = noise.astype(np.float32)
    for box in boxes:
        output[box] = cube[box]
    return output


def corrupt(cube: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The corrupted and the clean cube (X, Y, Z)."""
    target = flip(cube, draw_flips(rng))
    corrupted = target
    if rng.random() < 0.5:
        windows = [draw_window(rng, cube.shape) for _ in range(10_000)]
        corrupted = shuffle(corrupted, windows, lambda i, n: rng.permutation(n))
    if rng.random() < 0.9:
        corrupted = map_intensity(corrupted, *draw_controls(rng))
    if rng.random() < 0.9:
        inside = bool(rng.random() < 0.2)
        boxes = draw_boxes(rng, cube.shape, inside)
        if inside:
            corrupted = in_paint(corrupted, boxes, lambda box: rng.random(corrupted[box].shape))
        else:
            corrupted = out_paint(corrupted, boxes, rng.random(cube.shape))
    return corrupted, target
