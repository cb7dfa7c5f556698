"""Where the spread of a paired difference comes from, and how many patients or seeds would settle it.

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
class Components:
    """Variances of a paired difference between seeds, between patients, and of what is left."""

    seed: float
    patient: float
    rest: float

    def standard_error(self, seeds: int, patients: int) -> float:
        """Of the mean difference over this many seeds and patients."""
        return math.sqrt(self.seed / seeds + self.patient / patients + self.rest / (seeds * patients))

    def patients_for(self, standard_error: float, seeds: int) -> int | None:
        """Fewest patients with which the error is this small; None where these seeds allow it for no number."""
        return _fewest(self.patient + self.rest / seeds, standard_error**2 - self.seed / seeds)

    def seeds_for(self, standard_error: float, patients: int) -> int | None:
        """Fewest seeds with which the error is this small; None where these patients allow it for no number."""
        return _fewest(self.seed + self.rest / patients, standard_error**2 - self.patient / patients)


def variance_components(differences: NDArray[np.float64]) -> Components | None:
    """Components of (seeds, patients) differences; None for a single seed or patient, which show no variance."""
    seeds, patients = differences.shape
    if min(seeds, patients) < 2:
        return None
    by_seed, by_patient = differences.mean(1), differences.mean(0)
    rest = differences - by_seed[:, None] - by_patient[None] + differences.mean()
    rest_square = float((rest**2).sum() / ((seeds - 1) * (patients - 1)))
    seed_square = float(patients * by_seed.var(ddof=1))
    patient_square = float(seeds * by_patient.var(ddof=1))
    return Components(
        seed=max(0.0, (seed_square - rest_square) / patients),
        patient=max(0.0, (patient_square - rest_square) / seeds),
        rest=rest_square,
    )


def _fewest(variance: float, room: float) -> int | None:
    """Smallest n of at least 1 with variance / n <= room."""
    if room <= 0:
        return None
    return max(1, math.ceil(variance / room))
