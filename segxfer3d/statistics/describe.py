"""How good each arm is: mean and standard deviation over seeds, and the interval beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segxfer3d.statistics.compare import over_trainings
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.scores import ScoreTable


@dataclass(frozen=True)
class ArmSummary:
    """One arm at one label budget.

    Attributes:
        arm, budget: which.
        mean: over patients and seeds, or pretrainings where the arm repeats its own; what ``interval`` is around.
        std: of the trainings' means, with n - 1; None for a single one. It tells how trainings differ on these
            patients, and is no error of ``mean``.
        interval: 95 %, see :mod:`segxfer3d.statistics.crossed`; None where there is one seed or one patient only.
        seed_means: mean over patients of each training, in the order of the table's seeds.
        seeds, patients, cases: how many.
    """

    arm: str
    budget: float
    mean: float
    std: float | None
    interval: Interval | None
    seed_means: tuple[float, ...]
    seeds: int
    patients: int
    cases: int


def describe(table: ScoreTable) -> list[ArmSummary]:
    """Each arm of a table, in its order: a patient's cases are averaged first, every patient weighs the same."""
    by_patient = table.patient_means()
    by_seed = by_patient.mean(2)
    return [
        ArmSummary(
            arm=arm,
            budget=table.budget,
            mean=whole.difference,
            std=float(np.std(means, ddof=1)) if len(means) > 1 else None,
            interval=whole.interval,
            seed_means=means,
            seeds=len(set(table.seeds)),
            patients=by_patient.shape[2],
            cases=len(table.cases),
        )
        for i, arm in enumerate(table.arms)
        for means in [_of_trainings(table, arm, by_seed[i])]
        for repeated in [arm in table.repeated and len(set(table.pretrainings)) > 1]
        for whole in [over_trainings(table, by_patient[i], repeated=repeated)]
    ]


def _of_trainings(table: ScoreTable, arm: str, by_place: NDArray[np.float64]) -> tuple[float, ...]:
    """A mean for each training of an arm; one that repeats no pretraining has one a seed."""
    if arm in table.repeated:
        return tuple(by_place.tolist())
    return tuple(dict(zip(table.seeds, by_place.tolist(), strict=True)).values())
