"""The Models Genesis network: its published size, shapes, batch statistics."""

import pytest
import torch

from segxfer3d.networks import PARTS, build, genesis_unet


def test_the_published_size():
    network = genesis_unet()
    assert sum(p.numel() for p in network.parameters()) == 19_073_665
    assert tuple(name for name, _ in network.named_children()) == PARTS


@pytest.mark.parametrize("shape", [(16, 16, 8), (24, 16, 8)])
def test_logits_have_the_input_size(shape):
    network = genesis_unet(in_channels=2, out_channels=3, width=2)
    logits = network(torch.rand(2, 2, *shape))
    assert logits.shape == (2, 3, *shape)
    assert logits.min() < 0


def test_build_makes_the_same_network():
    network = genesis_unet(out_channels=2, width=3, batch_statistics=True)
    again = build(network.definition)
    again.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 16, 16, 8)
    network.eval(), again.eval()
    assert torch.equal(network(x), again(x))


def test_batch_statistics_in_evaluation():
    x = torch.rand(2, 1, 16, 16, 8)
    outputs = []
    for batch_statistics in (False, True):
        torch.manual_seed(0)
        network = genesis_unet(width=2, batch_statistics=batch_statistics)
        trained = network(x)
        network.eval()
        outputs.append(torch.allclose(network(x), trained, atol=1e-5))
    assert outputs == [False, True]
