"""Metrics against slow, obvious versions."""

import doctest

import numpy as np
import pytest
import torch

from segxfer3d import metrics
from segxfer3d.metrics import GenesisDice, GenesisIoU, case_row, dice, iou, summarize

EMPTY = torch.zeros(4, 4, 4, dtype=torch.bool)
ONE = EMPTY.clone()
ONE[1, 1, 1] = True


def test_dice_and_iou_by_counting():
    rng = np.random.default_rng(0)
    p, t = rng.random((2, 5, 6, 7)) > 0.6
    both = sum(bool(a and b) for a, b in zip(p.flat, t.flat, strict=True))
    either = sum(bool(a or b) for a, b in zip(p.flat, t.flat, strict=True))
    assert dice(torch.tensor(p), torch.tensor(t)) == pytest.approx(2 * both / (p.sum() + t.sum()))
    assert iou(torch.tensor(p), torch.tensor(t)) == pytest.approx(both / either)


@pytest.mark.parametrize(("p", "t", "expected"), [(EMPTY, EMPTY, 1.0), (ONE, EMPTY, 0.0), (EMPTY, ONE, 0.0), (ONE, ONE, 1.0)])
def test_empty_masks(p, t, expected):
    assert dice(p, t) == expected
    assert iou(p, t) == expected


def test_case_row_with_two_classes():
    label = torch.zeros(2, 4, 4, 4)
    label[0, :2] = 1
    probabilities = label * 0.9
    probabilities[1, 0, 0, 0] = 0.5  # equal to the threshold counts as foreground
    row = case_row("a", "p", probabilities, label, {1: "anterior", 2: "posterior"}, 2.0)
    assert row["dice_anterior"] == 1.0
    assert row["dice_posterior"] == 0.0
    assert row["dice"] == 0.5
    assert row["label_mm3"] == 64.0
    assert row["prediction_mm3"] == 66.0
    assert row["empty_label"] == 0


def test_summary_is_never_nan():
    row = case_row("a", "p", torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), {1: "nodule"}, 1.0)
    one = summarize([row])
    assert one["dice"] == 1.0
    assert one["dice_std"] == 0.0
    assert one["empty_labels"] == 1
    two = summarize([row, {**row, "dice": 0.0}])
    assert two["dice_std"] == pytest.approx(np.std([0, 1], ddof=1))
    assert two["patients"] == 1


def slow_genesis_iou(p, t):
    values = []
    for threshold in np.arange(0.5, 0.951, 0.05):
        foreground = p > threshold
        one = (foreground & t).sum() / (foreground | t).sum() if (foreground | t).any() else 1.0
        two = (~foreground & ~t).sum() / (~foreground | ~t).sum() if (~foreground | ~t).any() else 1.0
        values.append((one + two) / 2)
    return np.mean(values)


def test_genesis_figures_pool_all_voxels():
    rng = np.random.default_rng(1)
    p = rng.random((3, 1, 4, 5, 6)).astype(np.float32)
    t = rng.random((3, 1, 4, 5, 6)) > 0.7
    soft, threshold = GenesisDice(), GenesisIoU()
    for one_p, one_t in zip(p, t, strict=True):
        pair = (torch.tensor(one_p), torch.tensor(one_t, dtype=torch.float32))
        soft.update(pair)
        threshold.update(pair)
    expected = (2 * (p.astype(float) * t).sum() + 1) / (p.astype(float).sum() + t.sum() + 1)
    assert soft.compute() == pytest.approx(expected)
    assert threshold.compute() == pytest.approx(slow_genesis_iou(p, t))


def test_genesis_iou_of_an_empty_set_is_one():
    metric = GenesisIoU()
    metric.update((torch.zeros(3), torch.zeros(3)))
    assert metric.compute() == 1.0


def test_table3_iou_can_exceed_dice():
    """Why the two families must not be mixed: the background's IoU lifts the mean."""
    label = torch.zeros(1000)
    label[:20] = 1
    probabilities = torch.zeros(1000)
    probabilities[10:30] = 0.99
    metric = GenesisIoU()
    metric.update((probabilities, label))
    assert metric.compute() > dice(probabilities > 0.5, label > 0.5)


def test_docstring_examples():
    assert doctest.testmod(metrics).failed == 0
