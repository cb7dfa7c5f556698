"""Where windows lie."""

import itertools
import math

import pytest
from monai.data.utils import dense_patch_slices

from segxfer3d.inference.window_grid import Side, even_grid, even_side, regular_grid

CT = (512, 512, 300)
PATCH = (64, 64, 32)


def covered(side):
    """How many windows see each voxel of the axis."""
    before = side.padding[0]
    counts = [0] * (side.length + sum(side.padding))
    for start in side.starts:
        for voxel in range(start, start + side.size):
            counts[voxel] += 1
    return counts[before : before + side.length]


@pytest.mark.parametrize("shape", [CT, (5, 70, 33), (64, 64, 32)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_regular_windows_lie_where_monai_lays_them(shape, overlap):
    grid = regular_grid(shape, PATCH, overlap)
    padded = [max(length, side) for length, side in zip(shape, PATCH, strict=True)]
    steps = [max(1, int(side * (1 - overlap))) for side in PATCH]
    assert [grid.box(window) for window in grid.windows()] == dense_patch_slices(padded, PATCH, steps)


@pytest.mark.parametrize(("overlap", "windows", "computed"), [(0.25, (11, 11, 13), 2.62), (0.125, (9, 9, 11), 1.49)])
def test_even_windows_of_a_ct_are_no_more_than_steps(overlap, windows, computed):
    for lay in (regular_grid, even_grid):
        grid = lay(CT, PATCH, overlap)
        assert tuple(len(side.starts) for side in grid.sides) == windows
        assert round(grid.computed / math.prod(CT), 2) == computed


@pytest.mark.parametrize("shape", [CT, (100, 64, 40), (65, 129, 33), (70, 8, 300), (3, 3, 3)])
@pytest.mark.parametrize("overlap", [0.0, 0.125, 0.25, 0.9])
def test_even_windows_cover_every_voxel_and_share_their_margin(shape, overlap):
    grid = even_grid(shape, PATCH, overlap)
    assert grid.size == PATCH
    for side, patch in zip(grid.sides, PATCH, strict=True):
        assert min(covered(side)) >= 1
        assert list(side.starts) == sorted(set(side.starts))
        steps = [b - a for a, b in itertools.pairwise(side.starts)]
        assert all(step <= patch - round(overlap * patch) for step in steps)
        assert max(steps, default=0) - min(steps, default=0) <= 1  # evenly


def test_small_volumes_are_padded_and_rows_follow_the_longest_axis():
    grid = even_grid((35, 20, 100), PATCH, 0.25)
    assert grid.sides[0] == Side(64, (0,), 35)
    assert grid.sides[0].padding == (14, 15)
    assert grid.padding == (0, 0, 22, 22, 14, 15)
    assert grid.order == (2, 0, 1)
    assert regular_grid((35, 20, 100), PATCH, 0.25).order == (0, 1, 2)


def test_windows_spread_evenly():
    assert even_side(100, 40, 5) == Side(40, (0, 30, 60), 100)
    assert even_side(40, 40, 5) == Side(40, (0,), 40)
    assert even_side(41, 40, 5) == Side(40, (0, 1), 41)
