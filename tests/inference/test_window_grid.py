"""Where windows lie."""

import math

import pytest
from monai.data.utils import dense_patch_slices

from segxfer3d.inference.window_grid import Side, even_side, planned_grid, regular_grid

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


def test_planned_windows_of_a_ct():
    """Today's have 2.6 times its voxels."""
    assert round(regular_grid(CT, PATCH, 0.25).computed / math.prod(CT), 2) == 2.62
    fixed = planned_grid(CT, PATCH, divisors=(8, 8, 8), grows=False)
    assert fixed.size == PATCH
    assert [len(side.starts) for side in fixed.sides] == [9, 9, 11]
    assert round(fixed.computed / math.prod(CT), 3) == 1.485
    grown = planned_grid(CT, PATCH, divisors=(8, 8, 8), most=2**19)
    assert math.prod(grown.size) <= 2**19
    assert all(side % 8 == 0 for side in grown.size)
    assert round(grown.computed / math.prod(CT), 3) == 1.276


@pytest.mark.parametrize("shape", [CT, (100, 64, 40), (65, 129, 33), (70, 8, 300), (3, 3, 3)])
@pytest.mark.parametrize("overlap", [None, 0.0, 0.25, 0.9])
@pytest.mark.parametrize("grows", [True, False])
def test_planned_windows_cover_every_voxel_and_share_their_margin(shape, overlap, grows):
    grid = planned_grid(shape, PATCH, divisors=(8, 8, 8), overlap=overlap, grows=grows, most=2**18)
    for side, patch in zip(grid.sides, PATCH, strict=True):
        assert min(covered(side)) >= 1
        assert list(side.starts) == sorted(set(side.starts))
        margin = {None: patch // 8, 0.0: 0, 0.25: patch // 4, 0.9: round(0.9 * patch)}[overlap]
        steps = [b - a for a, b in zip(side.starts, side.starts[1:], strict=False)]
        assert all(step <= side.size - margin for step in steps)
        assert max(steps, default=0) - min(steps, default=0) <= 1  # evenly


def test_windows_are_not_larger_than_a_volume_but_for_the_divisors():
    grid = planned_grid((35, 20, 100), PATCH, divisors=(8, 8, 4))
    assert grid.sides[0] == Side(40, (0,), 35)
    assert grid.sides[0].padding == (2, 3)
    assert grid.sides[1] == Side(24, (0,), 20)
    assert grid.order == (2, 0, 1)  # the longest last
    assert grid.padding == (0, 0, 2, 2, 2, 3)
    assert regular_grid((35, 20, 100), PATCH, 0.25).size == PATCH


def test_windows_spread_evenly():
    assert even_side(100, 40, 5) == Side(40, (0, 30, 60), 100)
    assert even_side(40, 40, 5) == Side(40, (0,), 40)
    assert even_side(41, 40, 5) == Side(40, (0, 1), 41)
