"""SimCLR's loss is NT-Xent of two views."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.losses import nt_xent
from segxfer3d.pretexts.simclr import SimCLR
from tests.pretexts.stand_ins import batch, network, views


def test_what_it_trains():
    assert SimCLR.trained_parts == ("encoder",)


def test_the_loss_is_that_of_two_views():
    pretext = SimCLR(network(), views, temperature=0.3, hidden=8, out_channels=4).eval()
    items = batch()
    torch.manual_seed(5)
    losses = pretext(items)
    torch.manual_seed(5)
    first, second = views(items).image, views(items).image
    projections = [pretext.projection(pretext.network.encoder(v)[-1].mean(dim=(2, 3))) for v in (first, second)]
    torch.testing.assert_close(losses["loss_contrast"], nt_xent(*projections, 0.3).loss)
    torch.testing.assert_close(losses["loss"], 2 * losses["loss_contrast"])  # both directions are added
    assert set(losses) == {"loss", "loss_contrast", "accuracy", "entropy", "embedding_std"}


def test_one_image_has_no_negatives():
    pretext = SimCLR(network(), views)
    pretext.check(2)
    with pytest.raises(InputError, match="batch_size: SimCLR needs at least 2"):
        pretext.check(1)
