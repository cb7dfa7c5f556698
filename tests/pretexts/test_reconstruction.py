"""Reconstruction keeps the pretexts' contract, with ready pairs and with pairs made here."""

import pytest
import torch
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, genesis_unet
from segxfer3d.pretexts.reconstruction import Reconstruction
from tests.pretexts.stand_ins import batch, check_contract, corruption, network, views


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_contract(spatial_dims):
    channels = 3 if spatial_dims == 2 else 1
    check_contract(
        lambda: Reconstruction(network(spatial_dims, channels), views, corruption), PARTS, spatial_dims, channels
    )


def test_ready_pairs():
    torch.manual_seed(0)
    pretext = Reconstruction(genesis_unet(width=1))
    items = {"image": torch.rand(2, 1, 8, 8, 8), "target": torch.rand(2, 1, 8, 8, 8)}
    expected = F.mse_loss(torch.sigmoid(pretext.eval().network(items["image"])), items["target"])
    torch.testing.assert_close(pretext(items)["loss"], expected)
    pretext.check(1)


@pytest.mark.parametrize("with_views", [True, False])
def test_pairs_made_here(with_views):
    pretext = Reconstruction(network(), views if with_views else None, corruption)
    items = batch()
    torch.manual_seed(1)
    image, target = pretext.pair(items)
    torch.manual_seed(1)
    clean = views(items).image if with_views else items["image"].float() / 255
    assert torch.equal(target, clean)
    assert torch.equal(image, corruption(clean).image)


def test_nothing_to_reconstruct():
    with pytest.raises(InputError, match="no 'target', and no corruption"):
        Reconstruction(network())(batch())
