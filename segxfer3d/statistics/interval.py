"""Resampling patients and seeds together: the spread of a mean over other patients and other trainings.

A bootstrap over cases alone answers for the trainings at hand only: where trainings differ, its 95 % intervals hold
the truth in far fewer than 95 % of studies. Here each resample draws patients with all their cases, and seeds, both
with replacement, and takes every drawn case under every drawn seed (the pigeonhole bootstrap for crossed factors: Owen,
Annals of Applied Statistics 1 (2007) 386-411). The same draws serve all arms, so that differences are paired.

With few seeds the percentile intervals are still too narrow: with 40 patients and trainings that differ much, the
tests' simulation finds 87 % of them around the truth for 3 seeds, 92 % for 5 and 95 % for 10.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.statistics.scores import ScoreTable, patient_sums

CONFIDENCE = 0.95
RESAMPLES = 10_000
_BLOCK = 1000  # resamples held in memory at once

Interval = tuple[float, float]


def resample_counts(rng: np.random.Generator, resamples: int, items: int) -> NDArray[np.float64]:
    """How often each item is drawn: (resamples, items), each row with the sum ``items``."""
    drawn = rng.integers(items, size=(resamples, items)) + items * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * items).reshape(resamples, items).astype(np.float64)


def bootstrap_means(table: ScoreTable, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Each arm's mean over cases and seeds, in each resample of patients and seeds.

    A drawn patient brings all of his cases, so resamples may hold more or fewer cases than the study; each case drawn
    weighs the same. All arms see the same draws.

    Args:
        table: scores of one budget.
        resamples: how many.
        seed: of the draws; the same seed and sizes give the same draws.

    Returns:
        (resamples, arms).

    Raises:
        InputError: no resamples.
    """
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, got {resamples}")
    rng = np.random.default_rng(seed)
    sums, cases = patient_sums(table.values, table.patient_of_case())
    arms, seeds, patients = sums.shape
    flat = sums.reshape(arms * seeds, patients).T
    means = np.empty((resamples, arms))
    for start in range(0, resamples, _BLOCK):
        block = min(_BLOCK, resamples - start)
        drawn_patients = resample_counts(rng, block, patients)
        drawn_seeds = resample_counts(rng, block, seeds)
        of_runs = (drawn_patients @ flat).reshape(block, arms, seeds) / (drawn_patients @ cases)[:, None, None]
        means[start : start + block] = np.einsum("bas,bs->ba", of_runs, drawn_seeds) / seeds
    return means


def percentile_interval(resampled: NDArray[np.float64]) -> Interval:
    """The middle 95 % of resampled values (resamples,)."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def can_resample(table: ScoreTable) -> bool:
    """Whether there are at least two seeds and two patients: one alone cannot show how much others would differ."""
    return len(table.seeds) > 1 and len(set(table.patients)) > 1
