"""The t interval of a mean over seeds and patients, both of which are drawn from more.

The standard error comes from the mean squares of the two-way analysis of variance (seeds and patients crossed, one
value a cell; a negative component counts as 0), its degrees of freedom by Satterthwaite's approximation (Biometrics
Bulletin 2, 1946). With two to ten seeds and 20 to 65 patients such intervals hold the truth in 94 to 99 % of simulated
studies of normal values. Where a training now and then collapses, no interval of so few seeds does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segxfer3d.statistics.interval import CONFIDENCE, Interval


@dataclass(frozen=True)
class CrossedMean:
    """The mean of paired differences over seeds and patients; every patient weighs the same.

    Attributes:
        difference: the mean.
        interval: 95 %, see :func:`t_interval`.
        by_seed: mean over patients of each seed.
    """

    difference: float
    interval: Interval | None
    by_seed: tuple[float, ...]


def crossed_mean(differences: NDArray[np.float64]) -> CrossedMean:
    """The mean of differences (seeds, patients) with its interval."""
    by_seed = tuple(differences.mean(1).tolist())
    return CrossedMean(float(differences.mean()), t_interval(differences), by_seed)


def t_interval(differences: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of the mean of differences (seeds, patients); None for fewer than two of either.

    Args:
        differences: one value for each seed and patient.
        confidence: of the interval.
    """
    from scipy import stats  # a second to import, and what runs a study needs none of it

    seeds, patients = differences.shape
    if min(seeds, patients) < 2:
        return None
    error, degrees = standard_error(differences)
    half = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error
    middle = float(differences.mean())
    return middle - half, middle + half


def standard_error(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean of differences (seeds, patients), at least two of each, with its degrees of freedom."""
    seeds, patients = differences.shape
    by_seed, by_patient = differences.mean(1), differences.mean(0)
    rest = differences - by_seed[:, None] - by_patient[None] + differences.mean()
    of_rest = (seeds - 1) * (patients - 1)
    squares = {
        "seed": (patients * float(by_seed.var(ddof=1)), seeds - 1),
        "patient": (seeds * float(by_patient.var(ddof=1)), patients - 1),
        "rest": (float((rest**2).sum()) / of_rest, of_rest),
    }
    terms = [squares[name] for name in ("seed", "patient") if squares[name][0] > squares["rest"][0]]
    if len(terms) == 2:
        terms.append((-squares["rest"][0], of_rest))
    terms = terms or [squares["rest"]]
    total = sum(square for square, _ in terms)
    if total <= 0:
        return 0.0, float(of_rest)
    degrees = total**2 / sum(square**2 / each for square, each in terms)
    return math.sqrt(total / (seeds * patients)), degrees
