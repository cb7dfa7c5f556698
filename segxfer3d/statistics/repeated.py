"""The mean of differences over pretrainings, seeds of fine-tuning and patients, where a study repeats its pretraining.

*Nested*: each seed starts from one of the pretrainings. A pretraining's mean over its seeds is then one value for each
patient, and pretrainings take the place of seeds in :mod:`segxfer3d.statistics.crossed`; what seeds differ by is part
of what pretrainings differ by.

*Crossed*: each seed starts from each of the pretrainings. The difference of pretraining r, seed s and patient p is
modeled with three random effects, their three interactions in pairs, and a rest. With R, S and P of them the variance
of the mean times RSP is, in expected mean squares (Searle, Casella and McCulloch, *Variance Components*, 1992, chapter
4)::

    r + s + p - rs - rp - sp + rsp

Each of the three main ones is known up to its chi-square, as in the model of two factors; the interactions count as
known. In truth no main one is smaller than its interactions allow (r >= rs + rp - rsp, and so on), so the sum is never
below rs + rp + sp - 2 rsp, nor below rsp.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segxfer3d.statistics.crossed import CrossedMean, crossed_mean, inflations, mean_with_errors
from segxfer3d.statistics.interval import CONFIDENCE
from segxfer3d.statistics.trainings import is_crossed

_NODES, _PATIENT_NODES = 24, 8  # of the quadrature over each chi-square


def mean_over_pretrainings(
    differences: NDArray[np.float64],
    *,
    seeds: tuple[int, ...],
    pretrainings: tuple[int, ...],
    confidence: float = CONFIDENCE,
) -> CrossedMean:
    """The mean with its interval, for other pretrainings, seeds and patients.

    Args:
        differences: (trainings, patients).
        seeds, pretrainings: of each training.
        confidence: of the interval.

    Returns:
        the mean; ``by_seed`` has a value for each pretraining.
    """
    rows = [[k for k, each in enumerate(pretrainings) if each == one] for one in sorted(set(pretrainings))]
    if not is_crossed(seeds):
        return crossed_mean(np.stack([differences[row].mean(0) for row in rows]), confidence)
    cube = np.stack([differences[sorted(row, key=lambda k: seeds[k])] for row in rows])
    middle, by_pretraining = float(cube.mean()), tuple(cube.mean((1, 2)).tolist())
    if min(cube.shape) < 2:
        return CrossedMean(middle, by_pretraining)
    return mean_with_errors(middle, by_pretraining, *errors_of_three(cube), confidence)


def errors_of_three(cube: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the mean that the mean squares of (R, S, P) differences allow, (n,), and their weights."""
    squares = mean_squares_of_three(cube)
    nodes = (_NODES, _NODES, _PATIENT_NODES)
    (r, of_r), (s, of_s), (p, of_p) = (inflations(n - 1, k) for n, k in zip(cube.shape, nodes, strict=True))
    pairs, rest = squares["rs"] + squares["rp"] + squares["sp"], squares["rsp"]
    inflated = (
        squares["r"] * r[:, None, None] + squares["s"] * s[None, :, None] + squares["p"] * p[None, None, :]
    )  # fmt: skip
    variance = np.maximum(inflated - pairs + rest, max(pairs - 2 * rest, rest))
    weights = of_r[:, None, None] * of_s[None, :, None] * of_p[None, None, :]
    return np.sqrt(variance / cube.size).ravel(), weights.ravel()


def mean_squares_of_three(cube: NDArray[np.float64]) -> dict[str, float]:
    """Mean squares of the three-way analysis of variance, one value a cell: r, s, p, rs, rp, sp, rsp."""
    axes = {"r": 0, "s": 1, "p": 2}
    effects: dict[str, NDArray[np.float64]] = {"": np.full((1, 1, 1), cube.mean())}
    found = {}
    for name in ("r", "s", "p", "rs", "rp", "sp", "rsp"):
        others = tuple(axis for letter, axis in axes.items() if letter not in name)
        below = [effect for inner, effect in effects.items() if set(inner) < set(name)]
        effect = cube.mean(others, keepdims=True) - sum(below)
        effects[name] = effect
        degrees = int(np.prod([cube.shape[axes[letter]] - 1 for letter in name]))
        found[name] = float((effect**2).sum()) * cube.size / effect.size / degrees
    return found
