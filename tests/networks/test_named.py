"""Networks by name: found in their folder, made again from a definition, two of one name refused."""

import dataclasses

import pytest
import torch

from segxfer3d import networks
from segxfer3d.config import groups
from segxfer3d.errors import InputError
from segxfer3d.networks import build, image_unet
from segxfer3d.networks.named import BACKBONES, NETWORKS, by_name, choices, make_network


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


def test_every_choice_of_the_option_backbone_is_made():
    choices = groups.BACKBONES
    assert list(BACKBONES) == list(choices)
    with torch.device("meta"):
        made = [image_unet(choice) for choice in choices]
    assert {network.definition["name"] for network in made} <= set(NETWORKS)
    with pytest.raises(InputError, match=f"backbone: expected one of {', '.join(choices)}, got 'vgg'"):
        image_unet("vgg")


SIZES = {"in_channels": 1, "out_channels": 2, "width": 2}


@pytest.mark.parametrize("dims", [2, 3])
def test_every_network_is_made_by_name(dims):
    assert "plain_unet" in choices(dims)
    for name in choices(dims):
        network = make_network(name, dims=dims, **SIZES)
        assert network.encoder.spatial_dims == dims
        assert network.definition["name"] in NETWORKS


def test_options_reach_the_network_that_has_them():
    network = make_network(
        "plain_unet", dims=3, **SIZES, norm="batch", strides=[1, 2, (2, 2, 1)], deep_supervision=True
    )
    expected = {"strides": [[1, 1, 1], [2, 2, 2], [2, 2, 1]], "norm": "batch", "deep_supervision": True}
    assert expected.items() <= network.definition["arguments"].items()
    assert make_network("genesis_unet", dims=3, **SIZES, batch_statistics=True).definition["arguments"][
        "batch_statistics"
    ]
    assert make_network("genesis_unet", dims=3, **SIZES, norm="", strides=[]).deep_supervision == 0


@pytest.mark.parametrize(
    ("name", "dims", "options", "message"),
    [
        (
            "vnet",
            3,
            {},
            "^network 'vnet': is unknown; expected one of conrec_unet, genesis_unet, plain_unet, resenc_unet$",
        ),
        (
            "genesis_unet",
            2,
            {},
            "^network 'genesis_unet': is for images of other dimensions; expected one of conrec_unet",
        ),
        ("genesis_unet", 3, {"norm": "instance"}, "^network genesis_unet: has no norm to choose$"),
        ("resnet18", 2, {"deep_supervision": True}, "^network resnet18: has no deep_supervision to choose$"),
        ("plain_unet", 3, {"batch_statistics": True, "strides": [1, 2]}, "has no batch_statistics to choose$"),
    ],
)
def test_what_a_network_does_not_have_is_refused(name, dims, options, message):
    with pytest.raises(InputError, match=message):
        make_network(name, dims=dims, **SIZES, **options)


def test_builders_are_found_under_their_names():
    for name, network in NETWORKS.items():
        if name != "unet":
            assert getattr(networks, name) is network.builder


def test_two_of_one_name_are_refused():
    genesis, conrec = NETWORKS["genesis_unet"], NETWORKS["conrec_unet"]
    files = "declared by networks/a.py and by networks/b.py"
    with pytest.raises(InputError, match=f"network genesis_unet: {files}"):
        by_name([("networks/a.py", genesis), ("networks/b.py", dataclasses.replace(conrec, name="genesis_unet"))])
    with pytest.raises(InputError, match=f"backbone conrec: {files}"):
        by_name([("networks/a.py", conrec), ("networks/b.py", dataclasses.replace(conrec, name="other"))])
