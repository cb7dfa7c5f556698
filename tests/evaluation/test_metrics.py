"""Metrics of cases against slow, obvious loops; empty masks; what does not fit."""

from __future__ import annotations

import doctest
import math
import statistics

import numpy as np
import pytest
import torch
import torch.distributed
from monai.data import MetaTensor

from segxfer3d.errors import InputError
from segxfer3d.evaluation import metrics, soft_dice
from segxfer3d.evaluation.metrics import GenesisDice, GenesisIoU, case_row, dice, iou, summarize
from segxfer3d.report.scores import class_columns

Case = tuple[torch.Tensor, torch.Tensor]


def random_case(seed: int, classes: int = 1, shape: tuple[int, ...] = (5, 4, 3)) -> Case:
    """Probabilities on a grid of 0.05, many voxels exactly at a threshold, and a one-hot label."""
    rng = np.random.default_rng(seed)
    probabilities = torch.tensor(rng.integers(0, 21, (classes, *shape)) / 20, dtype=torch.float32)
    values = rng.integers(0, classes + 1, shape)
    label = torch.tensor(np.stack([values == k + 1 for k in range(classes)]), dtype=torch.float32)
    return probabilities, label


def slow_masks(probabilities: torch.Tensor) -> np.ndarray:
    masks = np.zeros(tuple(probabilities.shape), dtype=bool)
    for voxel in np.ndindex(*probabilities.shape[1:]):
        values = [float(channel[voxel]) for channel in probabilities]
        if max(values) >= 0.5:
            masks[(values.index(max(values)), *voxel)] = True
    return masks


def test_dice_and_iou_equal_a_loop_over_voxels() -> None:
    rng = np.random.default_rng(0)
    prediction, label = rng.random((4, 5, 3)) < 0.5, rng.random((4, 5, 3)) < 0.3
    pairs = list(zip(prediction.ravel().tolist(), label.ravel().tolist(), strict=True))
    both = sum(p and y for p, y in pairs)
    expected_iou = both / sum(p or y for p, y in pairs)
    assert dice(prediction, label) == pytest.approx(2 * both / (prediction.sum() + label.sum()))
    assert iou(prediction, label) == pytest.approx(expected_iou)
    assert dice(prediction, label) == pytest.approx(2 * expected_iou / (1 + expected_iou))
    assert dice(torch.tensor(prediction), torch.tensor(label)) == dice(prediction, label)


def test_empty_masks_have_numbers() -> None:
    empty, one = np.zeros((2, 2, 2), dtype=bool), np.ones((2, 2, 2), dtype=bool)
    assert (dice(empty, empty), iou(empty, empty)) == (1.0, 1.0)
    assert (dice(one, empty), iou(one, empty)) == (0.0, 0.0)
    assert (dice(empty, one), iou(empty, one)) == (0.0, 0.0)


def test_masks_must_be_boolean_and_of_one_shape() -> None:
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(InputError, match="boolean"):
        dice(mask.astype(np.float32), mask)
    with pytest.raises(InputError, match="same shape"):
        iou(mask, mask[:1])


def test_row_of_one_class() -> None:
    probabilities, label = random_case(2)
    row = case_row("lung_001", "patient_1", probabilities, label, voxel_mm3=0.5)
    mask, truth = slow_masks(probabilities)[0], label[0].numpy() == 1
    assert list(row) == [
        "case",
        "patient",
        "dice",
        "iou",
        "label_mm3",
        "prediction_mm3",
        "empty_label",
    ]
    assert row["dice"] == dice(mask, truth)
    assert row["iou"] == iou(mask, truth)
    assert row["label_mm3"] == 0.5 * truth.sum()
    assert row["prediction_mm3"] == 0.5 * mask.sum()
    assert row["empty_label"] == 0
    assert {type(value) for value in row.values()} == {str, float, int}
    assert case_row("lung_001", "patient_1", MetaTensor(probabilities), MetaTensor(label), 0.5) == row


def test_row_of_several_classes_has_the_means_over_them() -> None:
    probabilities, label = random_case(3, classes=3)
    names = ["liver", "cyst", "tumor"]
    row = case_row("a", "p", probabilities, label, 2.0, names)
    masks, truth = slow_masks(probabilities), label.numpy() == 1
    for k, name in enumerate(names):
        assert row[f"dice_{name}"] == dice(masks[k], truth[k])
        assert row[f"iou_{name}"] == iou(masks[k], truth[k])
    assert row["dice"] == pytest.approx(statistics.mean(float(row[f"dice_{name}"]) for name in names))
    assert row["iou"] == pytest.approx(statistics.mean(float(row[f"iou_{name}"]) for name in names))
    assert row["label_mm3"] == 2.0 * truth.sum()
    assert row["prediction_mm3"] == 2.0 * masks.sum()


def test_row_of_an_empty_label() -> None:
    nothing = torch.zeros(1, 3, 3, 3)
    right = case_row("a", "p", nothing + 0.4, nothing, 1.0)
    wrong = case_row("a", "p", nothing + 0.5, nothing, 1.0)
    assert (right["dice"], right["iou"], right["empty_label"]) == (1.0, 1.0, 1)
    assert (wrong["dice"], wrong["iou"], wrong["empty_label"]) == (0.0, 0.0, 1)


@pytest.mark.parametrize("value", [math.nan, 1.5, -2.0])
def test_values_that_are_no_probabilities_are_refused(value: float) -> None:
    probabilities, label = random_case(4)
    probabilities[0, 1, 1, 1] = value
    with pytest.raises(InputError, match=r"case lung_7: probabilities.*\[0, 1\]"):
        case_row("lung_7", "p", probabilities, label, 1.0)
    for metric in (GenesisDice(), GenesisIoU()):
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            metric.update((probabilities, label))


def test_inputs_that_do_not_fit_are_refused() -> None:
    probabilities, label = random_case(5, classes=2)
    with pytest.raises(InputError, match="case a: probabilities of shape"):
        case_row("a", "p", probabilities[:1], label, 1.0)
    with pytest.raises(InputError, match="2 different class names"):
        case_row("a", "p", probabilities, label, 1.0, ["one", "one"])
    with pytest.raises(InputError, match="case a: the label"):
        case_row("a", "p", probabilities, 2 * label, 1.0, ["one", "two"])
    with pytest.raises(InputError, match="same shape"):
        GenesisDice().update((probabilities[:1], label))
    with pytest.raises(InputError, match="same shape"):
        GenesisDice().update((probabilities[:, 1:], label))
    with pytest.raises(InputError, match="0 and 1"):
        GenesisIoU().update((probabilities, 2 * label))


def test_summary_equals_the_statistics_module() -> None:
    rows = [case_row(f"c{n}", f"p{n // 2}", *random_case(n), 1.0) for n in range(5)]
    rows.append(case_row("c5", "p5", torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2), 1.0))
    summary = summarize(rows)
    assert (summary["cases"], summary["patients"], summary["empty_labels"]) == (6, 4, 1)
    names = ["dice", "iou", "label_mm3", "prediction_mm3"]
    assert list(summary)[3:] == [key for name in names for key in (name, f"{name}_std")]
    for name in names:
        values = [float(row[name]) for row in rows]
        assert summary[name] == pytest.approx(statistics.mean(values))
        assert summary[f"{name}_std"] == pytest.approx(statistics.stdev(values))


def test_summary_of_one_case_has_no_nan() -> None:
    summary = summarize([case_row("a", "p", *random_case(0), 1.0)])
    assert summary["dice_std"] == 0.0


def test_summary_of_a_class_that_is_called_like_a_deviation() -> None:
    names = {f"dice_{name}": value for name, value in (("std", 0.25), ("std_class", 0.5), ("liver", 0.75))}
    rows = [{"case": f"c{k}", "patient": "p", "dice": 0.5 + k, **names, "empty_label": 0} for k in range(3)]
    summary = summarize(rows)
    assert (summary["dice"], summary["dice_std"]) == (1.5, 1.0)
    assert {name: summary[column] for column, name in class_columns(summary).items()} == names
    assert summary["dice_std_class"] == 0.25


def test_summary_refuses_what_has_no_mean() -> None:
    row = case_row("a", "p", *random_case(0), 1.0)
    with pytest.raises(InputError, match="no cases"):
        summarize([])
    with pytest.raises(InputError, match="case b: dice is nan"):
        summarize([row, {**row, "case": "b", "dice": math.nan}])
    with pytest.raises(InputError, match="extra"):
        summarize([row, {**row, "extra": 1.0}])


def test_examples_in_the_docstrings_run() -> None:
    outcomes = [doctest.testmod(module) for module in (metrics, soft_dice)]
    assert sum(outcome.attempted for outcome in outcomes) == 7
    assert not any(outcome.failed for outcome in outcomes)
