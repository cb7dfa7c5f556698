"""Figures of all voxels together against slow, obvious loops; several processes; MONAI's evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
from ignite.engine import Engine
from ignite.exceptions import NotComputableError

from segxfer3d.evaluation import soft_dice
from segxfer3d.evaluation.metrics import GenesisDice, GenesisIoU, dice
from segxfer3d.evaluation.soft_dice import pooled_figures, soft_sums
from tests.evaluation.test_metrics import Case, random_case
from tests.two_processes import run_two


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
