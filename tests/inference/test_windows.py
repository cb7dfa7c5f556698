"""Sliding windows over volumes of any size."""

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import nn

from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks import genesis_unet


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


class Counted(nn.Module):
    """A network that keeps the windows that it saw; its answer depends on all of a window."""

    def __init__(self, batch_statistics=False):
        super().__init__()
        self.seen = []
        self.batch_statistics = batch_statistics

    def forward(self, x):
        self.seen += list(x)
        return x + x.mean((1, 2, 3, 4), keepdim=True) + torch.linspace(0, 1, x.shape[-1])


def with_air(values=(0.0, 1.0)):
    """A body between two pieces without anything in them."""
    volume = torch.rand(1, 2, 40, 8, 8, generator=torch.Generator().manual_seed(0))
    volume[:, :, :18], volume[:, :, 24:] = values
    return volume


@pytest.mark.parametrize("values", [(0.0, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_constant_window_passes_the_network_once(values, batch_size):
    volume, network, every = with_air(values), Counted(), Counted()
    how = {"amp": False, "batch_size": batch_size}
    found = WindowInferer((8, 8, 8), 0.0, reuse=True, **how)(volume, network)
    assert torch.equal(found, WindowInferer((8, 8, 8), 0.0, **how)(volume, every))
    assert len(every.seen) == 5
    assert len(network.seen) == 1 + len(set(values))  # the body's, and one of each value
    constant = [window for window in network.seen if window.min() == window.max()]
    assert len(constant) == len(set(values))


def test_a_window_is_constant_in_every_channel():
    volume, network = torch.zeros(1, 2, 24, 8, 8), Counted()
    volume[:, 1] = 1.0
    volume[0, 1, 20, 4, 4] = 0.5
    WindowInferer((8, 8, 8), 0.0, reuse=True, amp=False)(volume, network)
    assert len(network.seen) == 2


def test_no_window_stands_for_another_where_a_batch_is_normalized():
    network = genesis_unet(width=2, batch_statistics=True).eval()
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        WindowInferer((8, 8, 8), 0.0, reuse=True, amp=False)(torch.zeros(1, 1, 24, 8, 8), network)
    assert seen == [3]


def test_windows_of_another_size_and_spread():
    volume = torch.rand(1, 1, 70, 9, 33, generator=torch.Generator().manual_seed(0))
    for spread, starts in (("steps", (0, 24, 38)), ("even", (0, 19, 38))):
        inferer = WindowInferer((16, 16, 16), 0.25, amp=False, window=(32, 16, 16), spread=spread)
        assert inferer.grid(volume.shape[2:]).size == (32, 16, 16)
        assert inferer.grid(volume.shape[2:]).sides[0].starts == starts
        torch.testing.assert_close(inferer(volume, Doubled()), torch.cat([2 * volume, volume - 1], 1))


@pytest.mark.parametrize("shape", [(20, 17, 33), (9, 16, 40)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.7])
@pytest.mark.parametrize("axes", [(), (0, 2)])
@torch.no_grad()
def test_windows_with_an_overlap_are_monais_bit_for_bit(shape, overlap, axes):
    torch.manual_seed(0)
    network, volume = genesis_unet(out_channels=3, width=2).eval(), torch.rand(1, 1, *shape)
    forward = MirroredForward(amp=False, axes=axes)
    monais = SlidingWindowInferer((16, 16, 16), 4, overlap=overlap, mode="gaussian")
    ours = WindowInferer((16, 16, 16), overlap, amp=False, mirror_axes=axes)
    assert torch.equal(ours(volume, network), monais(volume, lambda batch: forward(batch, network)))
