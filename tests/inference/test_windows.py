"""Sliding windows over volumes of any size."""

import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from segxfer3d.inference.windows import WindowInferer


class Doubled(nn.Module):
    """A network that treats every voxel alone; keeps the shapes that it saw."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return torch.cat([2 * x, x - 1], 1)


@pytest.mark.parametrize("size", [(16, 16, 16), (20, 17, 33), (5, 9, 16)])
@pytest.mark.parametrize("cases", [1, 2])
def test_windows_cover_every_voxel_of_every_size(size, cases):
    volume = torch.rand(cases, 1, *size, generator=torch.Generator().manual_seed(0))
    network = Doubled()
    logits = WindowInferer((16, 16, 16), overlap=0.25, batch_size=2, amp=False)(MetaTensor(volume), network)
    torch.testing.assert_close(logits, torch.cat([2 * volume, volume - 1], 1))
    assert type(logits) is torch.Tensor
    assert {shape[1:] for shape in network.shapes} == {(1, 16, 16, 16)}
    assert max(shape[0] for shape in network.shapes) <= 2


def test_windows_are_mirrored_too():
    """A network that sees a direction along x: mirrored, it sees none."""

    class Slope(nn.Module):
        def forward(self, x):
            return x + torch.arange(8.0).view(-1, 1, 1)

    volume = torch.rand(1, 1, 12, 8, 8, generator=torch.Generator().manual_seed(0))
    logits = WindowInferer((8, 8, 8), amp=False, mirror_axes=(0, 2))(volume, Slope())
    torch.testing.assert_close(logits, volume + 3.5)


class InWindow(nn.Module):
    """A network that gives the place of a voxel along x in its window."""

    def __init__(self):
        super().__init__()
        self.windows = 0

    def forward(self, x):
        self.windows += len(x)
        return torch.zeros_like(x) + torch.arange(8.0).view(-1, 1, 1)


def test_where_windows_overlap_the_middle_of_each_weighs_most():
    logits = WindowInferer((8, 8, 8), overlap=0.5, amp=False)(torch.zeros(1, 1, 12, 8, 8), InWindow())
    place = torch.arange(8.0)
    weight = torch.exp(-((place - 3.5) ** 2) / 2)  # Gaussian, an eighth of the window as standard deviation
    expected = place.clone()
    expected[4:] = (weight[4:] * place[4:] + weight[:4] * place[:4]) / (weight[4:] + weight[:4])
    torch.testing.assert_close(logits[0, 0, :8, 3, 4], expected)


@pytest.mark.parametrize(("overlap", "windows"), [(0.0, 3), (0.25, 4), (0.5, 5), (0.75, 9)])
def test_the_overlap_says_how_many_windows_there_are(overlap, windows):
    network = InWindow()
    WindowInferer((8, 8, 8), overlap=overlap, amp=False)(torch.zeros(1, 1, 24, 8, 8), network)
    assert network.windows == windows


def test_precision_is_float32_outside_and_bf16_inside():
    network = nn.Conv3d(1, 1, 3, padding=1)
    seen = []
    network.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    volume = torch.rand(1, 1, 8, 8, 8)
    with torch.no_grad():
        assert WindowInferer((8, 8, 8), amp=True)(volume, network).dtype == torch.float32
        assert WindowInferer((8, 8, 8), amp=False)(volume, network).dtype == torch.float32
    assert seen == [torch.bfloat16, torch.float32]
