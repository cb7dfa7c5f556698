"""Metrics against slow, obvious loops; empty masks; several processes; MONAI's evaluator."""

from __future__ import annotations

import doctest
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from monai.data import MetaTensor

from segxfer3d.errors import InputError
from segxfer3d.evaluation import metrics, soft_dice
from segxfer3d.evaluation.metrics import GenesisDice, GenesisIoU, case_row, dice, iou, summarize
from segxfer3d.evaluation.soft_dice import pooled_figures, soft_sums
from tests.two_processes import run_two

Case = tuple[torch.Tensor, torch.Tensor]


def random_case(seed: int, classes: int = 1, shape: tuple[int, ...] = (5, 4, 3)) -> Case:
    """Probabilities on a grid of 0.05, many voxels exactly at a threshold, and a one-hot label."""
    rng = np.random.default_rng(seed)
    probabilities = torch.tensor(rng.integers(0, 21, (classes, *shape)) / 20, dtype=torch.float32)
    values = rng.integers(0, classes + 1, shape)
    label = torch.tensor(np.stack([values == k + 1 for k in range(classes)]), dtype=torch.float32)
    return probabilities, label


def voxels(cases: list[Case]) -> list[tuple[float, bool]]:
    return [
        (p, y == 1)
        for probabilities, label in cases
        for p, y in zip(probabilities.flatten().tolist(), label.flatten().tolist(), strict=True)
    ]


def slow_pooled_dice(cases: list[Case]) -> float:
    pairs = voxels(cases)
    return (2 * sum(p * y for p, y in pairs) + 1) / (sum(p for p, _ in pairs) + sum(y for _, y in pairs) + 1)


def slow_genesis_iou(cases: list[Case]) -> float:
    per_threshold = []
    for percent in range(50, 100, 5):
        threshold = float(np.float32(percent / 100))
        per_class = []
        for foreground in (True, False):
            both = either = 0
            for p, y in voxels(cases):
                predicted, labeled = (p >= threshold) == foreground, y == foreground
                both += predicted and labeled
                either += predicted or labeled
            per_class.append(both / either)
        per_threshold.append(sum(per_class) / 2)
    return sum(per_threshold) / len(per_threshold)


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


def test_summary_refuses_what_has_no_mean() -> None:
    row = case_row("a", "p", *random_case(0), 1.0)
    with pytest.raises(InputError, match="no cases"):
        summarize([])
    with pytest.raises(InputError, match="case b: dice is nan"):
        summarize([row, {**row, "case": "b", "dice": math.nan}])
    with pytest.raises(InputError, match="extra"):
        summarize([row, {**row, "extra": 1.0}])


@pytest.mark.parametrize("classes", [1, 2])
def test_genesis_iou_equals_a_loop_over_voxels(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_dice, "_CHUNK", 17)
    cases = [random_case(seed, classes, shape) for seed, shape in ((1, (5, 4, 3)), (2, (7, 2, 2)))]
    metric = GenesisIoU()
    for case in cases:
        metric.update(case)
    assert metric.compute() == pytest.approx(slow_genesis_iou(cases), abs=1e-12)
    metric.reset()
    metric.update(cases[0])
    assert metric.compute() == pytest.approx(slow_genesis_iou(cases[:1]), abs=1e-12)


@pytest.mark.parametrize("classes", [1, 2])
def test_genesis_dice_is_the_mean_over_batches_by_their_cases(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_dice, "_CHUNK", 17)
    cases = [random_case(seed, classes) for seed in (1, 2, 3)]
    expected = (2 * slow_pooled_dice(cases[:2]) + slow_pooled_dice(cases[2:])) / 3
    of_batches, of_sums = GenesisDice(), GenesisDice()
    for batch in (cases[:2], cases[2:]):
        of_batches.update(tuple(torch.stack(tensors) for tensors in zip(*batch, strict=True)))
        of_sums.add([soft_sums(*case) for case in batch])
    assert of_batches.compute() == of_sums.compute() == pytest.approx(expected, abs=1e-12)
    assert abs(expected - slow_pooled_dice(cases)) > 1e-4


def test_figures_of_a_set_take_16_cases_a_batch_or_all_as_one() -> None:
    cases = [random_case(seed, shape=(3, 2, 1 + seed % 3)) for seed in range(19)]
    figures = pooled_figures([soft_sums(*case) for case in cases])
    expected = (16 * slow_pooled_dice(cases[:16]) + 3 * slow_pooled_dice(cases[16:])) / 19
    assert figures["genesis_dice"] == pytest.approx(expected, abs=1e-12)
    assert figures["pooled_dice"] == pytest.approx(slow_pooled_dice(cases), abs=1e-12)


def test_large_cases_weigh_more_within_a_batch() -> None:
    sure = (torch.ones(1, 9, 9, 9), torch.ones(1, 9, 9, 9))
    wrong = (torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2))
    metric = GenesisDice()
    metric.update(tuple(list(tensors) for tensors in zip(sure, wrong, strict=True)))
    assert metric.compute() == pytest.approx((2 * 729 + 1) / (729 + 737 + 1))


def test_genesis_iou_can_exceed_dice() -> None:
    """Why the two families must not be mixed: the background's IoU lifts the mean."""
    probabilities, label = torch.zeros(1, 10, 10, 10), torch.zeros(1, 10, 10, 10)
    label[0, 0, :2], probabilities[0, 0, 1:3] = 1, 0.99
    metric = GenesisIoU()
    metric.update((probabilities, label))
    assert metric.compute() > dice(probabilities >= 0.5, label == 1)


def test_genesis_metrics_of_empty_sets_are_numbers() -> None:
    nothing = torch.zeros(1, 3, 3, 3)
    for metric, value in ((GenesisDice(), 1.0), (GenesisIoU(), 1.0)):
        with pytest.raises(NotComputableError):
            metric.compute()
        metric.update((nothing, nothing))
        assert metric.compute() == value
    everything = GenesisIoU()
    everything.update((nothing + 1, nothing + 1))
    assert everything.compute() == 1.0


def test_half_precision_and_integer_labels() -> None:
    probabilities, label = random_case(8)
    for metric in (GenesisDice(), GenesisIoU()):
        metric.update((probabilities.half(), label.to(torch.uint8)))
        assert 0 < metric.compute() < 1


@pytest.mark.parametrize("decollated", [True, False])
def test_attached_to_an_engine(decollated: bool) -> None:
    """MONAI's engines give lists of cases, others give batches; both are the same voxels."""
    batches = [[random_case(1), random_case(2)], [random_case(3)]]

    def step(_: Engine, batch: list[Case]) -> tuple[list[torch.Tensor], ...] | tuple[torch.Tensor, ...]:
        lists = tuple(list(items) for items in zip(*batch, strict=True))
        return lists if decollated else tuple(torch.stack(items) for items in lists)

    engine = Engine(step)
    GenesisDice().attach(engine, "genesis_dice")
    GenesisIoU().attach(engine, "genesis_iou")
    values = engine.run(batches).metrics
    cases = [case for batch in batches for case in batch]
    assert values["genesis_dice"] == pytest.approx((2 * slow_pooled_dice(cases[:2]) + slow_pooled_dice(cases[2:])) / 3)
    assert values["genesis_iou"] == pytest.approx(slow_genesis_iou(cases))


def _score_own_case(rank: int, folder: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    pooled = [GenesisDice(), GenesisIoU()]
    for metric in pooled:
        metric.update(random_case(rank))
    torch.save([metric.compute() for metric in pooled], f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_number_of_one(tmp_path: Path) -> None:
    run_two(_score_own_case, str(tmp_path))
    cases = [random_case(0), random_case(1)]
    for rank in range(2):
        values = torch.load(tmp_path / str(rank), weights_only=True)
        dice_of_each = [slow_pooled_dice([case]) for case in cases]
        assert values == pytest.approx([sum(dice_of_each) / 2, slow_genesis_iou(cases)])


def test_examples_in_the_docstrings_run() -> None:
    outcomes = [doctest.testmod(module) for module in (metrics, soft_dice)]
    assert sum(outcome.attempted for outcome in outcomes) == 7
    assert not any(outcome.failed for outcome in outcomes)
