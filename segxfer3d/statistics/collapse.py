"""Trainings that ended far from the others of their arm.

A training that now and then collapses breaks every interval of few seeds: nobody can tell from five of them how often
it happens. Where one shows, there is no verdict, and the report says which one it is. How often one is found where
there is one, and where there is none: ``docs/results/verdicts.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segxfer3d.statistics.scores import ScoreTable
from segxfer3d.statistics.trainings import run_name

RATIO = 2.0  # to the arm's median, down or up


@dataclass(frozen=True)
class FarOff:
    """A training far from the others: its arm and seed, its mean over patients, the median of its arm's seeds, and the
    seed of its pretraining where its arm repeats that."""

    arm: str
    seed: int
    value: float
    median: float
    pretraining: int | None = None

    @property
    def name(self) -> str:
        """In words."""
        return run_name((self.arm, self.seed, self.pretraining))


def far_off(table: ScoreTable, *, least: float = 0.0) -> list[FarOff]:
    """Trainings whose mean over patients is less than half, or more than twice, the median of their arm's seeds.

    Args:
        table: scores of one budget, of 0 and more.
        least: and at least this far from it, in the unit of the scores.
    """
    means = table.patient_means().mean(2)
    medians = np.median(means, axis=1)
    starts = table.pretrainings or (None,) * len(table.seeds)
    found = [
        FarOff(arm, seed, float(value), float(median), start if arm in table.repeated else None)
        for arm, of_arm, median in zip(table.arms, means, medians, strict=True)
        for seed, start, value in zip(table.seeds, starts, of_arm, strict=True)
        if abs(value - median) >= least and not median / RATIO <= value <= median * RATIO
    ]
    return list(dict.fromkeys(found))  # a training may be paired with several
