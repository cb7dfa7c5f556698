"""Where the spread of a paired difference comes from: trainings, patients, and what is left.

The difference of two arms for seed s and patient p is modeled as d(s, p) = delta + seed(s) + patient(p) + rest(s, p),
the three with variances of their own (two crossed random factors, one value a cell). The variances are estimated from
the mean squares of the two-way analysis of variance, a negative one taken as 0 (Searle, Casella and McCulloch,
*Variance Components*, 1992, chapter 4). The variance of the mean over S seeds and P patients is then

    seed / S + patient / P + rest / (S P)

which says what more of either would bring: patients never take the seeds' part away, nor seeds the patients'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MeanSquares:
    """Of the two-way analysis of variance of differences (seeds, patients).

    Attributes:
        seed, patient, rest: mean squares.
        seeds, patients: how many.
    """

    seed: float
    patient: float
    rest: float
    seeds: int
    patients: int

    def components(self) -> Components:
        """The variances that they estimate."""
        return Components(
            seed=max(0.0, (self.seed - self.rest) / self.patients),
            patient=max(0.0, (self.patient - self.rest) / self.seeds),
            rest=self.rest,
        )


@dataclass(frozen=True)
class Components:
    """Variances of a paired difference between seeds, between patients, and of what is left."""

    seed: float
    patient: float
    rest: float

    def standard_error(self, seeds: int, patients: int) -> float:
        """Of the mean difference over this many seeds and patients."""
        return math.sqrt(self.seed / seeds + self.patient / patients + self.rest / (seeds * patients))


def mean_squares(differences: NDArray[np.float64]) -> MeanSquares | None:
    """Of (seeds, patients) differences; None for a single seed or patient, which show no variance."""
    seeds, patients = differences.shape
    if min(seeds, patients) < 2:
        return None
    by_seed, by_patient = differences.mean(1), differences.mean(0)
    rest = differences - by_seed[:, None] - by_patient[None] + differences.mean()
    return MeanSquares(
        seed=float(patients * by_seed.var(ddof=1)),
        patient=float(seeds * by_patient.var(ddof=1)),
        rest=float((rest**2).sum() / ((seeds - 1) * (patients - 1))),
        seeds=seeds,
        patients=patients,
    )
