"""The parts of a network: freezing them, and declaring them for a network from elsewhere."""

import copy
import doctest

import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, genesis_unet, parts, plain_unet, resenc_unet, with_parts


@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        (genesis_unet, {}),
        (genesis_unet, {"batch_statistics": True}),
        (plain_unet, {}),
        (plain_unet, {"norm": "batch"}),
        (resenc_unet, {"norm": "batch"}),
    ],
)
def test_frozen_parts_do_not_move(builder, arguments):
    network = builder(width=2, **arguments)
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


# Networks from elsewhere


class Elsewhere(nn.Module):
    """A network whose modules are not grouped by parts."""

    def __init__(self):
        super().__init__()
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(1, 2, 3, padding=1), "norm": nn.BatchNorm2d(2)})
        self.scale = nn.Parameter(torch.ones(1))
        self.up = nn.Conv2d(2, 2, 3, padding=1)
        self.out = nn.Conv2d(2, 3, 1)

    def features(self, x):
        return [self.scale * self.stem["norm"](self.stem["conv"](x))]

    def forward(self, x):
        return self.out(self.up(self.features(x)[0]).relu())


TABLE = {"encoder": ["stem", "scale"], "decoder": ["up"], "head": ["out"]}
SIZES = {"definition": {"name": "elsewhere", "arguments": {}}, "spatial_dims": 2, "in_channels": 1}


def test_doctest():
    assert doctest.testmod(parts, extraglobs={"nn": nn}).failed == 0


def test_a_network_from_elsewhere_has_the_parts_of_its_table():
    network = Elsewhere()
    parted = with_parts(network, TABLE, **SIZES, encode=network.features, channels=[2])
    x = torch.rand(2, 1, 8, 8)
    assert tuple(name for name, _ in parted.named_children()) == PARTS
    assert {key.split(".")[0] for key in parted.state_dict()} == set(PARTS)
    assert "encoder.stem.norm.running_mean" in parted.state_dict()
    assert sum(p.numel() for p in parted.parameters()) == sum(p.numel() for p in network.parameters())
    assert torch.equal(parted.eval()(x), network(x))
    assert torch.equal(parted.encoder(x)[0], network.features(x)[0])
    other = with_parts(Elsewhere(), TABLE, **SIZES)
    other.load_state_dict(parted.state_dict())
    assert torch.equal(other.eval()(x), parted(x))
    with pytest.raises(InputError, match="without `encode`"):
        other.encoder(x)


def test_a_network_from_elsewhere_freezes_moves_and_is_copied():
    parted = with_parts(Elsewhere(), TABLE, **SIZES)
    parted.freeze(["encoder"])
    parted.train()
    twin = copy.deepcopy(parted).double()
    before = {key: value.clone() for key, value in twin.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=0.1)
    twin(torch.rand(2, 1, 8, 8, dtype=torch.float64)).square().sum().backward()
    optimizer.step()
    moved = {key.split(".")[0] for key, value in twin.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"decoder", "head"}
    assert all(value.dtype == torch.float32 for key, value in parted.state_dict().items() if "tracked" not in key)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"encoder": ["stem"]}, "expected a table of the parts encoder, decoder, head"),
        ({**TABLE, "head": ["out", "last"]}, "has no last; expected paths"),
        ({**TABLE, "encoder": ["stem"]}, "belongs to no part: scale"),
        ({**TABLE, "decoder": ["up", "stem.norm"]}, r"two parts: stem\.norm\.weight \(stem and stem\.norm\)"),
    ],
)
def test_tables_that_do_not_fit(table, message):
    with pytest.raises(InputError, match=f"Elsewhere: .*{message}"):
        with_parts(Elsewhere(), table, **SIZES)
