"""What a comparison says in words, and what would be needed where it does not say enough.

A comparison is called **better** or **worse** where its p-value after Holm's correction is at most 0.05; the direction
is that of the difference itself. It is **equivalent** where the 95 % interval lies inside (-margin, margin), as two
one-sided tests would find at 2.5 % each; this comes first, so a difference that is there but too small to matter is
called equivalent, and the sentence says so. Anything else is **undecided**, which is not "no difference".

There is **no verdict** below 3 seeds or 6 patients, and none where a training ended far from the others of its arm
(:mod:`segxfer3d.statistics.collapse`): how often that happens, so few trainings cannot tell. There is none either where
all scores of both arms are 0: neither learned anything.

Two arms with the same score in every case and seed are called **identical**, however few there are: they are one set of
trainings. What keeps others from a verdict stands behind it, and then it answers nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.power import ALPHA, MOST, needed, suffices

MIN_SEEDS = 3
MIN_PATIENTS = 6
_LIMIT = round(ALPHA, 4)  # as it is written

_SCOPES = {
    "": "",
    "checkpoint": "; holds for this checkpoint",
    "checkpoints": "; holds for these checkpoints",
    "pretext": "; holds for the pretext",
}

Kind = Literal["better", "worse", "equivalent", "identical", "undecided", "no verdict"]


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        kind: in a word.
        sentence: with the numbers behind it.
        needed: ``seeds`` (or ``pretrainings``) and ``patients`` to the range of numbers that would find a difference as
            large as the margin, see :func:`with_needed`; empty where it is decided, or where they would mislead.
        why: the part of the sentence that says why there is no verdict (or why identical arms answer nothing), or what
            would decide what is undecided; empty where it is decided, or where that is not computed.
    """

    kind: Kind
    sentence: str
    needed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    why: str = ""


def judge(comparison: Comparison, margin: float, larger_is_better: bool = True) -> Verdict:
    """The verdict on one comparison.

    Args:
        comparison: of an arm with its reference.
        margin: largest difference that does not matter, in the unit of the scores.
        larger_is_better: as for dice; False for errors and distances.

    Raises:
        InputError: a margin that is not a positive number.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise InputError(f"margin: expected a positive number, got {margin}")
    names = f"{comparison.arm} against {comparison.reference}"
    nothing = comparison.zero and larger_is_better  # of errors and distances 0 is perfect
    reasons = ["neither learned anything, dice 0 in every case"] if nothing else []
    why = "; ".join(reasons := [*reasons, *_without_verdict(comparison)])
    if comparison.same and not nothing:
        sentence = f"{comparison.arm} and {comparison.reference} are identical, score by score"
        return Verdict("identical", f"{sentence} ({why})" if why else sentence, why=why)
    interval, p_holm = comparison.interval, comparison.p_holm
    if reasons or interval is None or p_holm is None:
        return Verdict("no verdict", f"no verdict on {names}: {why}", why=why)
    low, high = interval
    numbers = (
        f"difference {comparison.difference:+.3g}, 95 % interval {low:+.3g} to {high:+.3g}, "
        f"p {p_in_words(p_holm)} after Holm for {comparison.family}; "
        f"{_trainings(comparison)}, {comparison.patients} {comparison.units}{_SCOPES[comparison.scope]}"
    )
    if -margin < low and high < margin:
        though = ", though a difference smaller than that is there" if p_holm <= ALPHA else ""
        sentence = f"{comparison.arm} is equivalent to {comparison.reference} within {margin:g}{though} ({numbers})"
        return Verdict("equivalent", sentence)
    if p_holm <= ALPHA:
        kind: Kind = "better" if (comparison.difference > 0) == larger_is_better else "worse"
        return Verdict(kind, f"{comparison.arm} is {kind} than {comparison.reference} ({numbers})")
    sentence = f"undecided at this number: {names} ({numbers})"
    if low > 0 or high < 0:
        sentence += f"; alone the interval excludes 0, but not as one of {comparison.family}"
    return Verdict("undecided", sentence)


def p_in_words(value: float) -> str:
    """A p-value with two digits, with more around 0.05, so that it never seems to be on its other side.

    Example:
        >>> [p_in_words(value) for value in (0.00002, 0.0012, 0.0496, 0.05, 0.0504, 0.5)]
        ['< 0.001', '0.0012', '0.0496', '0.05', '0.0504', '0.50']
    """
    if value < 0.001:
        return "< 0.001"
    if value >= 0.1:
        return f"{value:.2f}"
    text = next((text for digits in (2, 3) if float(text := f"{value:.{digits}g}") != _LIMIT or value == _LIMIT), "")
    return text or f"{'<' if value <= ALPHA else '>'} {_LIMIT:g}"


def with_needed(verdict: Verdict, comparison: Comparison, margin: float) -> Verdict:
    """The same verdict; one that is undecided says what would find a difference as large as the margin.

    Apart from :func:`judge`, because it takes a hundred times as long. Of a crossed design it is not computed.

    Args:
        verdict: on the comparison.
        comparison: judged.
        margin: as in :func:`judge`.
    """
    if verdict.kind != "undecided" or comparison.squares is None:
        return verdict
    least = (MIN_SEEDS, MIN_PATIENTS)
    limits = needed(comparison.squares, effect=margin, family=comparison.family, least=least)
    levels = "pretrainings" if comparison.scope == "pretext" else "seeds"  # what stands on that axis
    units = comparison.units
    found = {
        {"seeds": levels, "patients": units}[name]: (low, high)
        for name, (low, high) in limits.items()
        if high is not None
    }
    if found:
        ways = " or ".join(f"{low} to {high} {name}" for name, (low, high) in found.items())
        before, behind = f"{ways} would find", " in 80 of 100 studies"
    elif suffices(comparison.squares, effect=margin, family=comparison.family):
        before, behind = f"so many {levels} and {units} already find", " in 80 of 100 studies"
    else:
        before, behind = f"no number up to {MOST['seeds']} {levels} or {MOST['patients']} {units} surely finds", ""
    number, why = (f"{before} a difference of {effect}{behind}" for effect in (f"{margin:g}", "the margin"))
    return replace(verdict, sentence=f"{verdict.sentence}; {number}", needed=found, why=why)


def _trainings(comparison: Comparison) -> str:
    several = f"{comparison.pretrainings} pretrainings, " if comparison.scope == "pretext" else ""
    return f"{several}{comparison.seeds} seeds"


def _without_verdict(comparison: Comparison) -> list[str]:
    few = [
        f"{number} {name}, at least {least} needed"
        for number, name, least in (
            (comparison.seeds, "seeds" if comparison.seeds != 1 else "seed", MIN_SEEDS),
            *([(comparison.pretrainings, "pretrainings", MIN_SEEDS)] if comparison.scope == "pretext" else []),
            (
                comparison.patients,
                comparison.units if comparison.patients != 1 else comparison.units[:-1],
                MIN_PATIENTS,
            ),
        )
        if number < least
    ]
    return few + [
        f"{far.name} ended at {far.value:.3g}, far from the median {far.median:.3g} of its seeds, "
        "and how often that happens so few trainings cannot tell"
        for far in comparison.far_off
    ]
