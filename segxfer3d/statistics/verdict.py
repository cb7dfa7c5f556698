"""What a comparison says in words, and what would be needed where it does not say enough.

A comparison is called **better** or **worse** where the 95 % interval excludes 0 *and* Holm's p-value is at most 0.05:
the interval for other trainings, the test for many arms. It is **equivalent** where the interval lies inside
(-margin, margin), as two one-sided tests would find at 2.5 % each; this comes first, so a difference that is there but
too small to matter is called equivalent, and the sentence says so. Anything else is **undecided**, which is not "no
difference". Below 5 seeds, or below 6 patients, where the signed-rank test cannot reach 0.05, there is **no verdict**.

Five seeds are few: where trainings differ much, two equal arms are called different in 7 to 9 of 100 of the tests'
simulated studies with 5 seeds and 40 patients, and in 5 to 6 with 10 seeds (one comparison; several are corrected).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.interval import CONFIDENCE

ALPHA = 1 - CONFIDENCE
POWER = 0.8
MIN_SEEDS = 5
MIN_PATIENTS = 6

Kind = Literal["better", "worse", "equivalent", "undecided", "no verdict", "not judged"]


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        kind: in a word.
        sentence: with the numbers behind it.
        patients_needed: about how many would decide it with as many seeds as now; None where it is decided, or where
            no number of patients would.
        seeds_needed: about how many would decide it with as many patients as now; None alike.
    """

    kind: Kind
    sentence: str
    patients_needed: int | None = None
    seeds_needed: int | None = None


def judge(comparison: Comparison, margin: float | None = None, larger_is_better: bool = True) -> Verdict:
    """The verdict on one comparison.

    The numbers needed hold *if the true difference is the one seen*, which a small study knows badly; they are an
    order of magnitude. They are the fewest with which the error of the mean difference, from its variance components
    (:mod:`~segxfer3d.statistics.components`), is so small that a normal test at 0.05 / (number of tests made together)
    finds the difference in 80 of 100 studies, or, with a margin, that the interval falls inside it in about as many;
    whichever takes less. They are never below the least that a verdict takes.

    Args:
        comparison: of an arm with its reference.
        margin: largest difference that does not matter, in the unit of the scores; None: equivalence is not asked.
        larger_is_better: as for dice; False for errors and distances.

    Raises:
        InputError: a margin that is not a positive number.
    """
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise InputError(f"margin: expected a positive number, got {margin}")
    patients, seeds = _needed(comparison, margin)
    too_few = [
        f"{number} {name}, at least {least} needed"
        for number, name, least in (
            (comparison.seeds, "seeds", MIN_SEEDS),
            (comparison.patients, "patients", MIN_PATIENTS),
        )
        if number < least
    ]
    names = f"{comparison.arm} against {comparison.reference}"
    if too_few or comparison.interval is None:
        return Verdict("no verdict", f"no verdict on {names}: {'; '.join(too_few)}", patients, seeds)
    low, high = comparison.interval
    excludes_zero = low > 0 or high < 0
    numbers = (
        f"difference {comparison.difference:+.3g}, 95 % interval {low:+.3g} to {high:+.3g}, "
        f"p {comparison.p_holm:.2g} after Holm for {comparison.family}; "
        f"{comparison.seeds} seeds, {comparison.patients} patients"
    )
    if margin is not None and -margin < low and high < margin:
        though = ", though a difference smaller than that is there" if excludes_zero else ""
        sentence = f"{comparison.arm} is equivalent to {comparison.reference} within {margin:g}{though} ({numbers})"
        return Verdict("equivalent", sentence)
    if excludes_zero and comparison.p_holm <= ALPHA:
        kind: Kind = "better" if (low > 0) == larger_is_better else "worse"
        return Verdict(kind, f"{comparison.arm} is {kind} than {comparison.reference} ({numbers})")
    sentence = f"undecided at this number: {names} ({numbers})"
    if excludes_zero:
        sentence += "; the interval excludes 0, but the signed-rank test over patients does not reach 0.05"
    return Verdict("undecided", f"{sentence}; {_in_words(patients, seeds)}", patients, seeds)


def _needed(comparison: Comparison, margin: float | None) -> tuple[int | None, int | None]:
    """Patients and seeds that would decide, each with the other as it is."""
    if comparison.components is None:
        return None, None
    normal = NormalDist()
    seen, power = abs(comparison.difference), normal.inv_cdf(POWER)
    error = seen / (normal.inv_cdf(1 - ALPHA / comparison.family / 2) + power)
    if margin is not None:
        error = max(error, (margin - seen) / (normal.inv_cdf(1 - ALPHA / 2) + power))
    if error <= 0:
        return None, None
    # n patients give signed-rank p-values down to 2 / 2^n
    least = max(MIN_PATIENTS, math.ceil(1 + math.log2(comparison.family / ALPHA)))
    patients = seeds = None
    if comparison.seeds >= MIN_SEEDS:
        patients = comparison.components.patients_for(error, comparison.seeds)
    if comparison.patients >= least:
        seeds = comparison.components.seeds_for(error, comparison.patients)
    return _still_needed(patients, least, comparison.patients), _still_needed(seeds, MIN_SEEDS, comparison.seeds)


def _still_needed(number: int | None, least: int, present: int) -> int | None:
    """A number needed, or None where so many are there already: then it is not numbers that are lacking."""
    if number is None or max(number, least) <= present:
        return None
    return max(number, least)


def _in_words(patients: int | None, seeds: int | None) -> str:
    ways = [f"{n} {name}" for n, name in ((patients, "patients"), (seeds, "seeds")) if n is not None]
    if not ways:
        return "neither patients nor seeds alone would decide it, if the difference is the one seen"
    return f"about {' or '.join(ways)} would decide it, if the difference is the one seen"
