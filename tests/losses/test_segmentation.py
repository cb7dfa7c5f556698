"""Dice and cross-entropy of fine-tuning, against loops over voxels and the losses that they take the place of."""

import math

import pytest
import torch
from monai.losses import DiceLoss

from segxfer3d.errors import InputError
from segxfer3d.losses import LabeledDiceLoss, SegmentationLoss, make_loss, with_valid
from segxfer3d.losses.deep_supervision import DeepSupervisionLoss


def draw(classes, size=(4, 3, 2), seed=0, background=1):
    """Outputs, disjoint masks and what counts."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((2, classes + background, *size), generator=generator)
    index = torch.randint(0, classes + 1, (2, 1, *size), generator=generator)
    label = (index == torch.arange(1, classes + 1).view(1, -1, *[1] * len(size))).to(torch.uint8)
    valid = torch.randint(0, 2, index.shape, dtype=torch.uint8, generator=generator)
    return logits, label, valid


def slow(logits, label, valid, *, softmax, cross_entropy):
    """The formula voxel by voxel."""
    classes = label.shape[1]
    overlap, total = [0.0] * classes, [0.0] * classes
    errors = []
    rows = logits.double().flatten(2).transpose(1, 2).flatten(0, 1).tolist()
    labels = label.flatten(2).transpose(1, 2).flatten(0, 1).tolist()
    for outputs, truth, counts in zip(rows, labels, valid.flatten().tolist(), strict=True):
        if not counts:
            continue
        if softmax:
            whole = sum(math.exp(output) for output in outputs)
            shares = [math.exp(output) / whole for output in outputs]
            probabilities = shares[1:]
            errors.append(-math.log(shares[truth.index(1) + 1 if 1 in truth else 0]))
        else:
            probabilities = [1 / (1 + math.exp(-output)) for output in outputs]
            errors += [-math.log(p if t else 1 - p) for p, t in zip(probabilities, truth, strict=True)]
        for k, (p, t) in enumerate(zip(probabilities, truth, strict=True)):
            overlap[k] += p * t
            total[k] += p + t
    dice = sum(1 - (2 * o + 1) / (t + 1) for o, t in zip(overlap, total, strict=True)) / classes
    return dice + (sum(errors) / len(errors) if cross_entropy else 0)


@pytest.mark.parametrize("size", [(5, 4), (4, 3, 2)])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", ["dice", "dice_ce"])
def test_slow_formula(name, activation, classes, size):
    softmax = activation == "softmax"
    logits, label, valid = draw(classes, size, background=int(softmax))
    loss = make_loss(name, activation=activation)
    rule = {"softmax": softmax, "cross_entropy": name == "dice_ce"}
    assert float(loss(logits, with_valid(label, valid))) == pytest.approx(slow(logits, label, valid, **rule), rel=1e-5)
    everywhere = slow(logits, label, torch.ones_like(valid), **rule)
    assert float(loss(logits, label)) == pytest.approx(everywhere, rel=1e-5)


def test_the_papers_losses_bit_for_bit():
    logits, label, valid = draw(2, background=0)
    volumes = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    for ours, theirs, target in (
        (make_loss("dice"), volumes, label.float()),
        (make_loss("dice"), LabeledDiceLoss(), with_valid(label, valid)),
    ):
        gradients = []
        for loss in (ours, theirs):
            outputs = logits.clone().requires_grad_()
            value = loss(outputs, target)
            value.backward()
            gradients.append((value.detach(), outputs.grad))
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_what_does_not_count_changes_nothing(activation):
    logits, label, valid = draw(2, background=int(activation == "softmax"))
    logits.requires_grad_()
    loss = make_loss("dice_ce", activation=activation)
    value = loss(logits, with_valid(label, valid))
    value.backward()
    ignored = (valid == 0).expand_as(logits)
    assert torch.all(logits.grad[ignored] == 0)
    assert torch.any(logits.grad[~ignored] != 0)
    other = torch.where(valid == 1, label, 1 - label)
    assert torch.equal(value, loss(logits, with_valid(other, valid)))
    assert float(loss(logits.detach(), with_valid(label, 0 * valid))) == 0  # nothing counts: dice of nothing is right


def test_half_precision_is_computed_in_full():
    logits, label, _ = draw(2)
    loss = make_loss("dice_ce", activation="softmax")
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(logits.bfloat16(), label)
    assert half.dtype == torch.float32
    assert torch.equal(half, loss(logits.bfloat16().float(), label))


def test_by_name():
    assert isinstance(make_loss("dice"), SegmentationLoss)
    assert isinstance(make_loss("dice", deep_supervision=2), DeepSupervisionLoss)
    with pytest.raises(InputError, match="loss: expected dice or dice_ce, got 'focal'"):
        make_loss("focal")
    with pytest.raises(InputError, match="activation: expected sigmoid or softmax, got 'relu'"):
        make_loss("dice", activation="relu")


@pytest.mark.parametrize(
    ("activation", "outputs", "masks"), [("sigmoid", 2, 4), ("sigmoid", 2, 1), ("softmax", 2, 3), ("softmax", 1, 1)]
)
def test_outputs_that_do_not_fit_are_refused(activation, outputs, masks):
    with pytest.raises(InputError, match=rf"loss: {activation} outputs of shape \(1, {outputs}, 2, 2\) do not fit"):
        make_loss("dice", activation=activation)(torch.zeros(1, outputs, 2, 2), torch.zeros(1, masks, 2, 2))
