"""The ConRec network: its published size, any dimension, made again from its definition."""

import pytest
import torch

from segxfer3d.networks import PARTS, build, conrec_unet


def values(module):
    """Parameters and batch-norm statistics, as TensorFlow counts them."""
    return sum(t.numel() for name, t in module.state_dict().items() if not name.endswith("num_batches_tracked"))


def test_the_published_size():
    network = conrec_unet()
    assert sum(p.numel() for p in network.parameters()) == 7_875_905
    assert values(network) == 7_882_433
    counters = sum(name.endswith("num_batches_tracked") for name in network.state_dict())
    assert counters == 17
    assert sum(t.numel() for t in network.state_dict().values()) == 7_882_433 + counters
    assert tuple(name for name, _ in network.named_children()) == PARTS


def test_the_encoder_gives_an_eighth():
    features = conrec_unet().eval().encoder(torch.rand(1, 3, 64, 64))
    assert features[-1].shape == (1, 512, 8, 8)
    assert [f.shape[1] for f in features] == [64, 128, 256, 512]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_any_dimension_and_made_again(spatial_dims):
    network = conrec_unet(in_channels=1, out_channels=2, width=2, spatial_dims=spatial_dims)
    x = torch.rand(2, 1, *(16, 8, 24)[:spatial_dims])
    again = build(network.definition)
    again.load_state_dict(network.state_dict())
    network.eval(), again.eval()
    assert network(x).shape == (2, 2, *x.shape[2:])
    assert torch.equal(network(x), again(x))
