"""BYOL's momentum rises over the training."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.losses import negative_cosine
from segxfer3d.pretexts.byol import BYOL
from tests.pretexts.stand_ins import batch, network, optimizer_of, step, views


def byol(spatial_dims=2, channels=3, total_steps=4):
    return BYOL(network(spatial_dims, channels), views, total_steps, momentum=0.5, hidden=8, out_channels=4)


def test_what_it_trains():
    assert BYOL.trained_parts == ("encoder",)


def test_the_loss_goes_both_ways():
    pretext = byol().eval()
    items = batch()
    torch.manual_seed(5)
    losses = pretext(items)
    torch.manual_seed(5)
    one, other = views(items).image, views(items).image

    def predicted(view):
        return pretext.prediction(pretext.projection(pretext.network.encoder(view)[-1].mean(dim=(2, 3))))

    def target(view):
        return pretext.momentum_projection(pretext.momentum_encoder(view)[-1].mean(dim=(2, 3)))

    expected = negative_cosine(predicted(one), target(other)) + negative_cosine(predicted(other), target(one))
    torch.testing.assert_close(losses["loss"], expected / 2)


def test_the_momentum_network_stops_at_the_end():
    pretext = byol(total_steps=2)
    optimizer = optimizer_of(pretext)
    momenta = []
    for i in range(3):
        before = pretext.momentum_projection[0].weight.clone()
        step(pretext, optimizer, i)
        distance = (pretext.projection[0].weight.detach() - before).norm()
        moved = (pretext.momentum_projection[0].weight - before).norm()
        momenta.append(1 - float(moved / distance))
    assert momenta == pytest.approx([0.5, 0.75, 1.0], abs=1e-4)
    assert int(pretext.steps) == 3


def test_refusals():
    with pytest.raises(InputError, match="BYOL needs at least 2"):
        byol().check(1)
    with pytest.raises(InputError, match="total_steps"):
        byol(total_steps=0)
