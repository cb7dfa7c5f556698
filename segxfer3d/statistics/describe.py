"""How good each arm is: mean and standard deviation over seeds, and the interval beside them."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.statistics.interval import RESAMPLES, Interval, bootstrap_means, can_resample, percentile_interval
from segxfer3d.statistics.scores import ScoreTable


@dataclass(frozen=True)
class ArmSummary:
    """One arm at one label budget.

    Attributes:
        arm, budget: which.
        mean: over seeds of each seed's mean over cases.
        std: of the seeds' means, with n - 1; None for a single seed. It tells how trainings differ on these cases,
            and is no error of ``mean``.
        interval: 95 %, from resampling patients and seeds; None where there is one seed or one patient only.
        seed_means: mean over cases of each seed, in the order of the table's seeds.
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


def describe(table: ScoreTable, resamples: int = RESAMPLES, seed: int = 0) -> list[ArmSummary]:
    """Each arm of a table, in the table's order.

    Mean and standard deviation are those of the paper's tables: each seed's mean over cases first, then over seeds.

    Args:
        table: scores of one budget.
        resamples, seed: of the bootstrap, see :func:`segxfer3d.statistics.interval.bootstrap_means`.
    """
    drawn = bootstrap_means(table, resamples, seed) if can_resample(table) else None
    by_seed = table.values.mean(2)
    return [
        ArmSummary(
            arm=arm,
            budget=table.budget,
            mean=float(by_seed[i].mean()),
            std=float(by_seed[i].std(ddof=1)) if len(table.seeds) > 1 else None,
            interval=percentile_interval(drawn[:, i]) if drawn is not None else None,
            seed_means=tuple(by_seed[i].tolist()),
            seeds=len(table.seeds),
            patients=len(set(table.patients)),
            cases=len(table.cases),
        )
        for i, arm in enumerate(table.arms)
    ]
