"""How likely a study finds a difference, and how many seeds or patients that takes.

A difference of ``effect`` is found where its p-value (:mod:`segxfer3d.statistics.crossed`), after the strictest step of
Holm's correction, is at most 0.05: that is averaged over the mean squares that studies of the given components have.

After a study its components are known badly, so what is needed is a range: the number under components as small, and
as large, as its mean squares allow with a chance of 1 in 10 each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segxfer3d.statistics.components import Components, MeanSquares
from segxfer3d.statistics.crossed import errors_of, inflations
from segxfer3d.statistics.interval import CONFIDENCE

ALPHA = 1 - CONFIDENCE
POWER = 0.8
MOST = {"seeds": 50, "patients": 2000}  # more than that is no advice
_CHANCE = 0.1
_SEED_NODES, _PATIENT_NODES = 12, 3
_STEPS = 20  # leave a factor of 1.00002 of a distance open, with two seeds too
_COARSE = {"seed_nodes": 24, "patient_nodes": 4}  # of the test, a quarter of what is computed for a p-value

Needed = tuple[int, int | None]  # at least, at most; None: more than MOST


def power(components: Components, *, seeds: int, patients: int, effect: float, family: int = 1) -> float:
    """The chance that a study finds a true difference.

    Args:
        components: variances of the difference.
        seeds, patients: at least two of each.
        effect: the true difference, in the unit of the scores.
        family: comparisons that are corrected together.
    """
    from scipy import special  # a while to import, and what runs a study needs none of it

    error = components.standard_error(seeds, patients)
    if error == 0:
        return 1.0
    halves, weights = _half_widths(components, seeds, patients, ALPHA / family)
    found = special.ndtr((effect - halves) / error) + special.ndtr((-effect - halves) / error)
    return float(found @ weights)


def equivalence(components: Components, *, seeds: int, patients: int, margin: float) -> float:
    """The chance that a study calls arms equivalent that do not differ: its 95 % interval lies within the margin.

    Args:
        components: variances of the difference.
        seeds, patients: at least two of each.
        margin: largest difference that does not matter, in the unit of the scores.
    """
    from scipy import special

    error = components.standard_error(seeds, patients)
    if error == 0:
        return 1.0
    halves, weights = _half_widths(components, seeds, patients, ALPHA)
    inside = 2 * special.ndtr(np.maximum(margin - halves, 0) / error) - 1
    return float(inside @ weights)


def _half_widths(
    components: Components, seeds: int, patients: int, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How wide, to one side, the intervals of such studies are, and how likely each of those widths is."""
    seed, of_seed = inflations(seeds - 1, _SEED_NODES)
    patient, of_patient = inflations(patients - 1, _PATIENT_NODES)
    seen = [(1 / one, 1 / other) for one in seed for other in patient]
    halves = _limits(
        [
            MeanSquares(
                (components.rest + patients * components.seed) * one,
                (components.rest + seeds * components.patient) * other,
                components.rest,
                seeds,
                patients,
            )
            for one, other in seen
        ],
        alpha,
    )
    return halves, np.outer(of_seed, of_patient).ravel()


def _limits(squares: Sequence[MeanSquares], alpha: float) -> NDArray[np.float64]:
    """How far a mean must be from 0 for a p-value of ``alpha``, for each of the squares; by bisection, all at once.

    Were all errors the smallest of them it would be nearer, were all the largest farther. With two seeds those are
    apart by many powers of ten, so that it is factors that are halved, not distances.
    """
    from scipy import special

    pairs = [errors_of(each, **_COARSE) for each in squares]
    errors, weights = np.array([error for error, _ in pairs]), pairs[0][1]
    alone = float(-special.ndtri(alpha / 2))
    low, high = np.log(alone * errors.min(1)), np.log(alone * errors.max(1))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        above = 2 * special.ndtr(-np.exp(middle)[:, None] / errors) @ weights > alpha
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    limits: NDArray[np.float64] = np.exp((low + high) / 2)
    return limits


def needed(squares: MeanSquares, *, effect: float, family: int, least: tuple[int, int]) -> dict[str, Needed]:
    """How many seeds, or how many patients with the other as it is, find ``effect`` in 80 of 100 studies.

    Args:
        squares: of the study.
        effect: the difference to find, in the unit of the scores.
        family: comparisons that are corrected together.
        least: the fewest seeds and patients that a verdict takes.

    Returns:
        ``seeds`` and ``patients`` to the range; one is absent where no number of it does under the smaller components,
        or where so many are there already under the larger ones.
    """
    small, large = extremes(squares)
    found: dict[str, Needed] = {}
    for name, present, fewest in (("seeds", squares.seeds, least[0]), ("patients", squares.patients, least[1])):

        def chance(number: int, of: Components, name: str = name) -> float:
            numbers = {"seeds": squares.seeds, "patients": squares.patients, name: number}
            return power(of, effect=effect, family=family, **numbers)

        low = _fewest(lambda n, of=small: chance(n, of), fewest, MOST[name])  # type: ignore[misc]
        high = _fewest(lambda n, of=large: chance(n, of), fewest, MOST[name])  # type: ignore[misc]
        if low is not None and (high is None or high > present):
            found[name] = (low, high)
    return found


def suffices(squares: MeanSquares, *, effect: float, family: int) -> bool:
    """Whether so many seeds and patients as there are find ``effect`` in 80 of 100 studies, even under the larger
    components: then :func:`needed` names nothing.

    Args:
        squares, effect, family: as of :func:`needed`.
    """
    _, large = extremes(squares)
    return power(large, seeds=squares.seeds, patients=squares.patients, effect=effect, family=family) >= POWER


def extremes(squares: MeanSquares) -> tuple[Components, Components]:
    """Components as small, and as large, as mean squares allow with a chance of 1 in 10 each."""
    return _allowed(squares, 1 - _CHANCE).components(), _allowed(squares, _CHANCE).components()


def _allowed(squares: MeanSquares, chance: float) -> MeanSquares:
    """Mean squares that would have given those seen or smaller (a small chance: larger) ones with this chance."""
    from scipy import special

    def factor(degrees: int) -> float:
        return degrees / (2 * float(special.gammaincinv(degrees / 2, chance)))

    return replace(
        squares,
        seed=max(squares.rest, squares.seed * factor(squares.seeds - 1)),
        patient=max(squares.rest, squares.patient * factor(squares.patients - 1)),
    )


def _fewest(chance: Callable[[int], float], least: int, most: int) -> int | None:
    """The smallest number from ``least`` to ``most`` with enough power, which grows with it; None: none has."""
    if chance(most) < POWER:
        return None
    low, high = least, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle + 1, high)
    return low
