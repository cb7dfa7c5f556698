"""Networks by name: found in their folder, made again from a definition, two of one name refused."""

import dataclasses

import pytest
import torch

from segxfer3d import networks
from segxfer3d.config import groups
from segxfer3d.errors import InputError
from segxfer3d.networks import build, image_unet
from segxfer3d.networks.named import BACKBONES, NETWORKS, by_name


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
