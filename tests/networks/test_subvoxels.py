"""Voxels to channels and back."""

import pytest
import torch

from segxfer3d.networks.subvoxels import depth_to_space, space_to_depth

BLOCKS = [[2, 2, 2], [2, 2, 1], [1, 3, 2], [2, 1], [1, 1]]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("last", [False, True])
def test_back_it_is_the_same(block, last):
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[len(block)] if last else torch.contiguous_format
    x = torch.rand(2, 3, *(6, 12, 4)[: len(block)]).contiguous(memory_format=layout)
    folded = space_to_depth(x, block)
    assert torch.equal(depth_to_space(folded, block), x)
    assert torch.equal(depth_to_space(folded.contiguous(memory_format=layout), block), x)
    assert folded.numel() == x.numel()


def test_channels_are_places_first():
    x = torch.arange(2 * 4 * 2).view(1, 2, 4, 2)
    folded = space_to_depth(x, [2, 1])
    assert folded.shape == (1, 4, 2, 2)
    assert torch.equal(folded[0, 0], x[0, 0, ::2])
    assert torch.equal(folded[0, 1], x[0, 1, ::2])
    assert torch.equal(folded[0, 2], x[0, 0, 1::2])


def test_in_two_dimensions_one_channel_is_torchs_pixel_shuffle():
    x = torch.rand(2, 4, 3, 5)
    assert torch.equal(depth_to_space(x, [2, 2]), torch.pixel_shuffle(x, 2))
    assert depth_to_space(x, [1, 1]) is x
