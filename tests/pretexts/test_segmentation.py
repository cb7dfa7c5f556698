"""Segmentation's dice is that of the pixels that count."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS
from segxfer3d.pretexts.segmentation import Segmentation
from tests.pretexts.stand_ins import batch, network


def test_what_it_trains():
    assert Segmentation.trained_parts == PARTS


def test_the_loss_is_one_minus_dice_where_it_counts():
    pretext = Segmentation(network(out_channels=1)).eval()
    items = batch()
    items["valid"][:, :, :5] = 0
    output = torch.sigmoid(pretext.network(items["image"].float() / 255))
    counts = items["valid"] == 1
    p, t = output[counts], items["label"][counts].float()
    expected = 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
    torch.testing.assert_close(pretext(items)["loss"], expected)
    relabeled = {**items, "label": torch.where(counts, items["label"], 1 - items["label"])}
    assert torch.equal(pretext(relabeled)["loss"], pretext(items)["loss"])
    del items["valid"]
    p, t = output, items["label"].float()
    torch.testing.assert_close(pretext(items)["loss"], 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))


def test_augmentation_is_for_training():
    calls = []

    def augment(items):
        calls.append(set(items))
        return {key: value.flip(-1) for key, value in items.items()}

    pretext = Segmentation(network(out_channels=1), augment)
    pretext.eval()(batch())
    assert calls == []
    pretext.train()(batch())
    assert calls == [{"image", "category", "label", "valid"}]


def test_masks_are_needed():
    with pytest.raises(InputError, match="needs 'label'"):
        Segmentation(network(out_channels=1))({"image": batch()["image"]})
