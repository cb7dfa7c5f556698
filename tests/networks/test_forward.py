"""The forward pass: plain tensors, layouts, precision, the network inside its wrappers."""

import torch
from monai.data import MetaTensor
from torch import nn

from segxfer3d.networks.forward import NetworkForward, layout_of, plain, to_device, unwrap


def test_tensors_are_plain_and_in_the_wanted_layout():
    image = MetaTensor(torch.rand(2, 3, 4, 5))
    assert type(plain(image, False)) is torch.Tensor
    assert plain(image, True).is_contiguous(memory_format=torch.channels_last)
    volume = plain(torch.rand(2, 3, 4, 5, 6), True)
    assert volume.is_contiguous(memory_format=torch.channels_last_3d)
    assert plain(torch.arange(3), True).tolist() == [0, 1, 2]


def test_layout_follows_the_dimensions_of_the_weights():
    assert layout_of(nn.Conv2d(2, 2, 1)) == torch.channels_last
    assert layout_of(nn.Conv3d(2, 2, 1)) == torch.channels_last_3d


def test_output_is_float32_whatever_was_computed_in():
    network = nn.Conv2d(1, 2, 3)
    image = torch.rand(1, 1, 8, 8)
    exact = NetworkForward(amp=False)(image, network)
    rounded = NetworkForward(amp=True)(image, network)
    assert rounded.dtype == torch.float32
    assert torch.equal(exact, network(image))
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert not torch.equal(exact, rounded)


def test_a_batch_of_several_tensors_passes_too():
    class Sum(nn.Module):
        def forward(self, batch):
            return {"loss": (batch["a"] + batch["b"]).sum()}

    batch = {"a": MetaTensor(torch.ones(2, 1, 4, 4)), "b": torch.ones(2, 1, 4, 4)}
    assert NetworkForward()(batch, Sum())["loss"] == 64


def test_the_network_inside_its_wrappers():
    network = nn.Linear(1, 1)
    assert unwrap(network) is network
    assert unwrap(nn.DataParallel(network)) is network
    assert unwrap(torch.compile(network)) is network


def test_only_tensors_go_to_the_device():
    moved = to_device({"image": torch.ones(2), "case": ["a", "b"]}, torch.device("meta"))
    assert list(moved) == ["image"]
    assert moved["image"].device.type == "meta"
