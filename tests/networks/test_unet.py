"""The networks' contract: sizes, shapes, parts, freezing."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, UNet, build, genesis_unet
from segxfer3d.networks.blocks import ConvBlock


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


@pytest.mark.parametrize(
    "definition",
    [
        {"name": "os.system", "arguments": {}},
        {"name": "genesis_unet"},
        {"name": "genesis_unet", "arguments": {"depth": 4}},
        {"name": "genesis_unet", "arguments": {"width": -1}},
        {"name": "genesis_unet", "arguments": {"width": "wide"}},
        [],
    ],
)
def test_build_makes_nothing_else(definition):
    with pytest.raises(InputError, match="genesis_unet"):
        build(definition)


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


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_frozen_parts_do_not_move(batch_statistics):
    network = genesis_unet(width=2, batch_statistics=batch_statistics)
    network.freeze(["encoder"])
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        network.train()
        optimizer.zero_grad()
        network(torch.rand(2, 1, 16, 16, 8)).square().mean().backward()
        optimizer.step()
    moved = {key.split(".")[0] for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"decoder", "head"}
    network.freeze([])
    assert network.encoder.training
    assert all(p.requires_grad for p in network.parameters())


def test_freezing_an_unknown_part_is_refused():
    with pytest.raises(InputError, match="stem"):
        genesis_unet(width=1).freeze(["stem"])


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("up", ["transposed", "nearest"])
@pytest.mark.parametrize("skip", ["identity", "conv"])
def test_unet_in_any_dimension(spatial_dims, up, skip):
    network = UNet(spatial_dims, 1, 2, [[2, 3], [4], [5, 5]], [[4, 4], [3]], up=up, skip=skip)
    x = torch.rand(2, 1, *(16, 8, 12)[:spatial_dims])
    assert network(x).shape == (2, 2, *x.shape[2:])
    keys = set(network.state_dict())
    assert {key.split(".")[0] for key in keys} == set(PARTS)
    assert any(key.startswith("decoder.skips.") for key in keys) == (skip == "conv")
    assert any(key.startswith("decoder.up.") for key in keys) == (up == "transposed")
    assert set(build(network.definition).state_dict()) == keys


@pytest.mark.parametrize("wrong", [{"spatial_dims": 4}, {"up": "linear"}, {"skip": "sum"}, {"decoder_stages": [[2]]}])
def test_unet_refuses_what_it_does_not_know(wrong):
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}
    stages = {"encoder_stages": [[2], [2], [2]], "decoder_stages": [[2], [2]]}
    with pytest.raises(InputError, match=next(iter(wrong))):
        UNet(**{**arguments, **stages, **wrong})


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_bfloat16_weight_gradients_of_the_smallest_features(depth):
    """oneDNN on CPUs with bfloat16 instructions gets a first side of 2 wrong; others have to stay as they are."""
    convolution = ConvBlock(3, 16, [16], batch_statistics=False)[0]
    x = torch.randn(4, 16, depth, 4, 4, generator=torch.Generator().manual_seed(0))
    gradients = []
    for amp in (False, True):
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            logits = convolution(x)
        logits.float().square().sum().backward()
        gradients.append(convolution.weight.grad.clone())
    assert (gradients[1] - gradients[0]).abs().max() < 0.05 * gradients[0].abs().max()
