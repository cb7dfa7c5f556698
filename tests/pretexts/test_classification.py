"""Classification keeps the pretexts' contract and learns what can be seen."""

import pytest
import torch
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.pretexts.classification import Classification
from tests.pretexts.stand_ins import View, batch, check_contract, network, optimizer_of, step, views


@pytest.mark.parametrize("pooling", ["average", "attention"])
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_contract(spatial_dims, pooling):
    channels = 3 if spatial_dims == 2 else 1
    check_contract(
        lambda: Classification(network(spatial_dims, channels), 2, views, pooling), ("encoder",), spatial_dims, channels
    )


def test_loss_and_accuracy():
    pretext = Classification(network(), 3, views).eval()
    items = batch()
    logits = pretext.classify(items["image"].float() / 255)  # no views in evaluation
    losses = pretext(items)
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, items["category"]))
    assert float(losses["accuracy"]) == float((logits.argmax(dim=1) == items["category"]).float().mean())


def test_evaluation_has_a_view_of_its_own():
    def half(items):
        return View(*[items["image"].float()[..., :8] / 255] * 2)

    pretext = Classification(network(), 3, views, whole=half).eval()
    items = batch()
    logits = pretext.classify(half(items).image)
    torch.testing.assert_close(pretext(items)["loss"], F.cross_entropy(logits, items["category"]))


def test_the_loss_falls():
    pretext = Classification(network(), 2)
    optimizer = optimizer_of(pretext)
    losses = [float(step(pretext, optimizer, 0)["loss"].detach()) for _ in range(10)]
    assert losses[-1] < 0.5 * losses[0]


def test_refusals():
    with pytest.raises(InputError, match="classes: expected at least 2"):
        Classification(network(), 1)
    items = batch()
    del items["category"]
    with pytest.raises(InputError, match="needs 'category', the data have image, label, valid"):
        Classification(network(), 2)(items)
    Classification(network(), 2).check(1)
