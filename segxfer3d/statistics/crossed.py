"""The mean of paired differences over seeds and patients, both drawn from more: its interval and its p-value.

Both come from one distribution, so they cannot contradict each other. The variance of the mean is
(seed + patient - rest) / (seeds x patients) of the expected mean squares, three numbers that a study of few seeds knows
badly. Each is known up to a chi-square variable, seed = MS_seed (S - 1) / chi2(S - 1) and so on, and the mean is normal
given them: averaged over those variables, that is the generalized pivotal quantity of Weerahandi (Journal of the
American Statistical Association 88, 1993, 899-905), which is the t test where one component rules. Satterthwaite's
approximation puts one number of degrees of freedom in place of that average; in the simulations of
``docs/results/verdicts.md`` its tails are too light where three to five seeds look alike by chance, and 10 to 20 of 100
families hold a false difference.

The rest has the most degrees of freedom by far and counts as known; the variance of the mean is never below its part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segxfer3d.statistics.components import MeanSquares, mean_squares
from segxfer3d.statistics.interval import CONFIDENCE, Interval

_SEED_NODES, _PATIENT_NODES = 48, 8  # of Gauss and Legendre; twice as many change no p-value by 1 %


@dataclass(frozen=True)
class CrossedMean:
    """The mean of differences over seeds and patients; every patient weighs the same.

    Attributes:
        difference: the mean.
        by_seed: mean over patients of each seed.
        interval: 95 %; None for fewer than two seeds or patients, as the others.
        p_value: two-sided, of no difference.
        squares: mean squares behind both.
    """

    difference: float
    by_seed: tuple[float, ...]
    interval: Interval | None = None
    p_value: float | None = None
    squares: MeanSquares | None = None


def crossed_mean(differences: NDArray[np.float64], confidence: float = CONFIDENCE) -> CrossedMean:
    """The mean of differences (seeds, patients) with its interval.

    Args:
        differences: one value for each seed and patient.
        confidence: of the interval.
    """
    middle, by_seed = float(differences.mean()), tuple(differences.mean(1).tolist())
    squares = mean_squares(differences)
    if squares is None:
        return CrossedMean(middle, by_seed)
    return replace(mean_with_errors(middle, by_seed, *errors_of(squares), confidence), squares=squares)


def mean_with_errors(
    middle: float,
    by_seed: tuple[float, ...],
    errors: NDArray[np.float64],
    weights: NDArray[np.float64],
    confidence: float = CONFIDENCE,
) -> CrossedMean:
    """A mean with its interval and p-value.

    Args:
        middle, by_seed: the mean, and that of each seed.
        errors, weights: (n,) standard errors that it may have, and how likely each of them is.
        confidence: of the interval.
    """
    half = half_width(errors, weights, confidence)
    return CrossedMean(middle, by_seed, (middle - half, middle + half), tail(middle, errors, weights))


def tail(distance: float, errors: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The chance that the mean lies at least as far from the truth as ``distance``, to either side."""
    from scipy import special  # a while to import, and what runs a study needs none of it

    if not errors.any():  # nothing varies
        return 1.0 if distance == 0 else 0.0
    far = np.divide(abs(distance), errors, out=np.full_like(errors, np.inf), where=errors > 0)
    return float(2 * (special.ndtr(-far) * weights).sum())


def half_width(errors: NDArray[np.float64], weights: NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Of the interval around the mean; 0 where nothing varies."""
    if not errors.any():
        return 0.0
    high = float(errors.max())
    while tail(high, errors, weights) > 1 - confidence:
        high *= 2
    low = 0.0
    while (
        high - low > 1e-7 * high
    ):  # by halves: scipy.optimize takes longer to import than a report's intervals to find
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, errors, weights) > 1 - confidence else (low, middle)
    return (low + high) / 2


def errors_of(
    squares: MeanSquares, *, seed_nodes: int = _SEED_NODES, patient_nodes: int = _PATIENT_NODES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the mean that the mean squares allow, (n,), and the weight of each.

    Args:
        squares: of the differences.
        seed_nodes, patient_nodes: of the quadrature.
    """
    seed, of_seed = inflations(squares.seeds - 1, seed_nodes)
    patient, of_patient = inflations(squares.patients - 1, patient_nodes)
    variance = squares.seed * seed[:, None] + squares.patient * patient[None] - squares.rest
    errors = np.sqrt(np.maximum(variance, squares.rest) / (squares.seeds * squares.patients))
    return errors.ravel(), np.outer(of_seed, of_patient).ravel()


@lru_cache(maxsize=256)
def inflations(degrees: int, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of n / chi2(n) and their weights, by quadrature over its probability.

    The cube of the probability is what is spaced evenly: small chi-squares make the long tail of an interval.
    """
    from scipy import special

    points, weights = np.polynomial.legendre.leggauss(nodes)
    where = (points + 1) / 2
    values = degrees / (2 * special.gammaincinv(degrees / 2, where**3))
    return values, 1.5 * weights * where**2
