"""How good each arm is: mean and standard deviation over seeds, and the interval beside them."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.statistics.crossed import crossed_mean
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.scores import ScoreTable


@dataclass(frozen=True)
class ArmSummary:
    """One arm at one label budget.

    Attributes:
        arm, budget: which.
        mean: over seeds of each seed's mean over patients.
        std: of the seeds' means, with n - 1; None for a single seed. It tells how trainings differ on these patients,
            and is no error of ``mean``.
        interval: 95 %, see :mod:`segxfer3d.statistics.crossed`; None where there is one seed or one patient only.
        seed_means: mean over patients of each seed, in the order of the table's seeds.
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
            mean=float(by_seed[i].mean()),
            std=float(by_seed[i].std(ddof=1)) if len(table.seeds) > 1 else None,
            interval=crossed_mean(by_patient[i]).interval,
            seed_means=tuple(by_seed[i].tolist()),
            seeds=len(table.seeds),
            patients=by_patient.shape[2],
            cases=len(table.cases),
        )
        for i, arm in enumerate(table.arms)
    ]
