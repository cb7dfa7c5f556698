"""The dice loss of images, against a loop over pixels."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.losses import LabeledDiceLoss, with_valid


def slow_loss(logits, label, valid):
    """The formula, pixel by pixel, a channel after the other."""
    losses = []
    for channel in range(logits.shape[1]):
        overlap = total = 0.0
        for p, t, counts in zip(
            logits[:, channel].double().sigmoid().flatten().tolist(),
            label[:, channel].flatten().tolist(),
            valid[:, 0].flatten().tolist(),
            strict=True,
        ):
            if counts:
                overlap += p * t
                total += p + t
        losses.append(1 - (2 * overlap + 1) / (total + 1))
    return sum(losses) / len(losses)


def draw(channels=1, size=(5, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((3, channels, *size), generator=generator)
    label = torch.randint(0, 2, logits.shape, dtype=torch.uint8, generator=generator)
    valid = torch.randint(0, 2, (3, 1, *size), dtype=torch.uint8, generator=generator)
    return logits, label, valid


@pytest.mark.parametrize("size", [(5, 4), (3, 4, 2)])
@pytest.mark.parametrize("channels", [1, 2])
def test_slow_formula(channels, size):
    logits, label, valid = draw(channels, size)
    loss = LabeledDiceLoss()(logits, with_valid(label, valid))
    assert float(loss) == pytest.approx(slow_loss(logits, label, valid), abs=1e-6)
    everywhere = LabeledDiceLoss()(logits, with_valid(label, None))
    assert float(everywhere) == pytest.approx(slow_loss(logits, label, torch.ones_like(valid)), abs=1e-6)


def test_what_does_not_count_changes_nothing():
    logits, label, valid = draw()
    logits.requires_grad_()
    loss = LabeledDiceLoss()(logits, with_valid(label, valid))
    loss.backward()
    assert torch.all(logits.grad[valid == 0] == 0)
    assert torch.any(logits.grad[valid == 1] != 0)
    other = torch.where(valid == 1, label, 1 - label)
    assert torch.equal(loss, LabeledDiceLoss()(logits, with_valid(other, 7 * valid)))


def test_perfect_and_empty():
    label = torch.zeros(2, 1, 4, 4)
    label[0, :, :2] = 1  # the other image has no foreground
    loss = LabeledDiceLoss()
    assert float(loss(200 * label - 100, with_valid(label, None))) == pytest.approx(0, abs=1e-6)
    assert float(loss(torch.full_like(label, -100), with_valid(0 * label, None))) == pytest.approx(0, abs=1e-6)
    assert float(loss(100 - 200 * label, with_valid(label, None))) == pytest.approx(1 - 1 / 33, abs=1e-6)


def test_half_precision_is_computed_in_full():
    logits, label, valid = draw()
    half = LabeledDiceLoss()(logits.bfloat16(), with_valid(label, valid))
    assert half.dtype == torch.float32
    assert torch.equal(half, LabeledDiceLoss()(logits.bfloat16().float(), with_valid(label, valid)))


def test_another_number_of_masks_than_outputs_is_refused():
    logits, label, valid = draw(channels=2)
    loss = LabeledDiceLoss()
    with pytest.raises(InputError, match=r"^loss: 1 outputs for 2 masks; expected one for each$"):
        loss(logits[:, :1], with_valid(label, valid))
