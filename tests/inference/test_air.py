"""Windows of nothing but air: what is one, and which of them pass the network."""

import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.inference.air import Air
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks import genesis_unet

WINDOW = VolumePreprocessing()
FOREGROUND = VolumePreprocessing(
    scales=(Scale("foreground", window_low=-1000.0, window_high=300.0, mean=-500.0, sd=200.0),)
)
SIZE = (8, 8, 8)


def scaled(preprocessing, hu):
    """One channel of HU, as the network sees it."""
    return preprocessing.scales[0].transform("image")({"image": torch.as_tensor(hu, dtype=torch.float32)[None]})[
        "image"
    ]


def noise(sd, mean=-1000.0, seed=0):
    return np.random.default_rng(seed).normal(mean, sd, SIZE)


@pytest.mark.parametrize("preprocessing", [WINDOW, FOREGROUND])
def test_what_is_air(preprocessing):
    air = Air.of_model(preprocessing, "sigmoid")
    assert air.fills(scaled(preprocessing, noise(0)))
    assert air.fills(scaled(preprocessing, noise(60)))  # single voxels are above -900 HU
    assert noise(60).max() > -850
    assert not air.fills(scaled(preprocessing, noise(30, mean=-850)))  # lung
    for size, hu in ((1, 0), (2, -850)):  # a voxel of tissue, and eight at the edge of a vessel in lung
        volume = noise(0)
        volume[3 : 3 + size, 3 : 3 + size, 3 : 3 + size] = hu
        assert not air.fills(scaled(preprocessing, volume))


@pytest.mark.parametrize(
    "preprocessing",
    [
        VolumePreprocessing(scales=(Scale("percentile"),)),
        VolumePreprocessing(scales=(Scale("zscore"),)),
        VolumePreprocessing(scales=(Scale(window_low=-160.0, window_high=240.0),)),  # fat looks like air
        VolumePreprocessing(scales=(Scale(), Scale("zscore"))),  # a channel of MR beside CT
    ],
)
def test_models_that_do_not_know_air(preprocessing):
    assert Air.of_model(preprocessing, "sigmoid") is None


def test_every_channel_has_to_be_of_air():
    air = Air.of_model(VolumePreprocessing(scales=(Scale(), Scale())), "sigmoid")
    both = torch.zeros(2, *SIZE)
    assert air.fills(both)
    both[1, 2:6] = 0.5
    assert not air.fills(both)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_how_sure_a_network_has_to_be(activation):
    air = Air((0.05,), activation)
    logits = torch.full((2, *SIZE), -4.0)
    if activation == "softmax":
        logits[0] = 4.0
    assert air.is_background(logits)
    logits[1, 2, 2, 2] = logits[0, 2, 2, 2] + 0.5  # of one voxel not
    logits[1, 2, 2, 2] = max(float(logits[1, 2, 2, 2]), -1.0)
    assert not air.is_background(logits)


class Seeing(nn.Module):
    """Says what it sees, and keeps how many windows came; ``of_air`` is added to what it says of air."""

    def __init__(self, of_air=0.0):
        super().__init__()
        self.of_air = of_air
        self.came = 0

    def forward(self, x):
        self.came += len(x)
        empty = x.flatten(1).max(1).values < 0.05
        return 40 * x - 10 + self.of_air * empty.view(-1, 1, 1, 1, 1)


def chest():
    """Three layers of four windows along z; tissue is in one window of the first layer and in two of the last."""
    rng = np.random.default_rng(1)
    volume = torch.as_tensor(rng.uniform(0, 0.04, (1, 1, 24, 8, 32)), dtype=torch.float32)
    for x, z in ((0, 1), (2, 0), (2, 3)):
        volume[..., 8 * x + 2 : 8 * x + 6, 2:6, 8 * z + 2 : 8 * z + 6] = 0.6
    return volume


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_one_window_of_air_in_a_layer_stands_for_the_others(batch_size):
    network, every = Seeing(), Seeing()
    how = {"overlap": 0.0, "amp": False, "batch_size": batch_size}
    skipping = WindowInferer(SIZE, **how, air=Air((0.05,)))
    found, whole = skipping(chest(), network), WindowInferer(SIZE, **how)(chest(), every)
    assert torch.equal(found > 0, whole > 0)
    seen = torch.abs(found - whole).amax((0, 1)).reshape(3, 8, 8, 4, 8).amax((1, 2, 4)) == 0
    # what is computed is as it was: tissue, and the first of air in each layer
    assert seen.tolist() == [[True, True, False, False], [True, False, False, False], [True, True, False, True]]
    assert (every.came, network.came, skipping.passed_over) == (12, 6, 6)


def test_a_network_that_finds_something_in_air_sees_all_of_it():
    network, every = Seeing(of_air=9.0), Seeing(of_air=9.0)
    skipping = WindowInferer(SIZE, 0.0, amp=False, air=Air((0.05,)))
    assert torch.equal(skipping(chest(), network), WindowInferer(SIZE, 0.0, amp=False)(chest(), every))
    assert (network.came, skipping.passed_over) == (12, 0)


def test_constant_windows_and_air_side_by_side():
    volume = chest()
    volume[..., 8:16, :, 8:] = 0.0  # three windows of the middle layer
    network = Seeing()
    inferer = WindowInferer(SIZE, 0.0, amp=False, batch_size=2, reuse=True, air=Air((0.05,)))
    found = inferer(volume, network)
    assert torch.equal(found > 0, volume > 0.25)
    assert (network.came, inferer.passed_over) == (3 + 3 + 1, 3)


def test_no_window_is_passed_over_where_a_batch_is_normalized():
    network = genesis_unet(width=2, batch_statistics=True).eval()
    inferer = WindowInferer(SIZE, 0.0, amp=False, air=Air((0.05,)))
    with torch.no_grad():
        inferer(chest(), network)
    assert inferer.passed_over == 0
