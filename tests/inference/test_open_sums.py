"""Sums over windows, of which the open ones are kept."""

import math

import pytest
import torch

from segxfer3d.inference.open_sums import OpenSums, open_voxels
from segxfer3d.inference.window_grid import even_grid, regular_grid


def grids():
    for shape in ((20, 17, 33), (16, 40, 16), (9, 16, 21)):
        for overlap in (0.0, 0.25, 0.7):
            yield regular_grid(shape, (8, 8, 8), overlap)
            yield even_grid(shape, (8, 8, 8), overlap)


@pytest.mark.parametrize("channels_last", [False, True])
def test_sums_are_those_over_the_whole_volume_bit_for_bit(channels_last):
    generator = torch.Generator().manual_seed(0)
    for grid in grids():
        shape = [max(side.length, side.size) for side in grid.sides]
        expected, found = torch.zeros(3, *shape), torch.full((3, *shape), torch.nan)
        sums = OpenSums(grid)
        for window in grid.windows():
            values = torch.randn(1, 3, *grid.size, generator=generator)
            if channels_last:
                values = values.contiguous(memory_format=torch.channels_last_3d)
            expected[(slice(None), *grid.box(window))] += values[0]
            box, finished = sums.add(window, values[0])
            assert found[(slice(None), *box)].isnan().all()  # every voxel is finished once
            found[(slice(None), *box)] = finished
        assert torch.equal(found, expected)


def test_sums_of_many_channels_are_carried_in_half_precision():
    generator = torch.Generator().manual_seed(0)
    grid = regular_grid((20, 17, 33), (8, 8, 8), 0.25)
    exact, half, few = OpenSums(grid), OpenSums(grid, half_beyond=3), OpenSums(grid, half_beyond=4)
    largest = 0.0
    for window in grid.windows():
        values = 20 * torch.randn(4, *grid.size, generator=generator)
        _, expected = exact.add(window, values.clone())
        assert torch.equal(few.add(window, values.clone())[1], expected)
        error = (half.add(window, values)[1] - expected).abs().max() / expected.abs().max()
        largest = max(largest, float(error))
    assert 0 < largest < 1 / 250  # what bf16 rounds by
    assert sum(layer.nbytes for layer in exact._open) == 2 * sum(layer.nbytes for layer in half._open)


def test_large_sums_in_half_precision_stay_finite():
    grid = regular_grid((20, 17, 33), (8, 8, 8), 0.5)
    half = OpenSums(grid, half_beyond=1)
    for window in grid.windows():
        values = 1e5 * torch.ones(2, *grid.size)
        values[1] *= -1
        _, sums = half.add(window, values)
        assert sums.isfinite().all()
        assert sums[0].min() > 65000
        assert sums[1].max() < -65000


def test_what_is_kept_of_a_ct_are_layers():
    """Of 60 classes, and of any number: no class has a volume."""
    grid = even_grid((512, 512, 300), (64, 64, 32), 0.125)
    sums = OpenSums(grid)
    values = torch.zeros(1, *grid.size)
    for window in [*grid.windows()][:200]:
        sums.add(window, values.clone())
    kept = sum(layer.numel() for layer in sums._open)
    assert kept == open_voxels(grid)
    layer = 8 * 512 * 300 + 64 * 8 * 300 + 64 * 64 * 6
    assert kept <= layer
    assert kept < 0.02 * math.prod((512, 512, 300))
