"""The scores of a study in order: every arm with every seed on every case, one table for each label budget.

An arm is a choice under study (an ``init``, mostly), a budget a number or share of labels, a score one number of one
case after one training. Arms are compared on the same seeds and the same cases: a seed draws the same labels in
every arm, so both are paired. What would break the pairs is refused, never filled in or quietly dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError, some


@dataclass(frozen=True)
class Score:
    """One number of one case, after the training of one arm with one seed on one label budget."""

    arm: str
    budget: float
    seed: int
    case: str
    patient: str
    value: float


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """All scores of one label budget.

    Attributes:
        budget: number or share of labels.
        arms, seeds, cases: names of the axes; arms in the order of their first score, the others sorted.
        patients: whose case it is, one for each case.
        values: (arms, seeds, cases), all finite.
        left_out: (arm, seed) of runs that are not in the table, because another arm lacks their seed.
    """

    budget: float
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    values: NDArray[np.float64]
    left_out: tuple[tuple[str, int], ...] = ()

    def index(self, arm: str) -> int:
        """Where an arm is on the first axis of ``values``.

        Raises:
            InputError: unknown arm.
        """
        if arm not in self.arms:
            raise InputError(f"unknown arm {arm!r}: expected one of {', '.join(self.arms)}")
        return self.arms.index(arm)

    def patient_of_case(self) -> NDArray[np.intp]:
        """(cases,) index of each case's patient among the sorted patients."""
        return np.unique(self.patients, return_inverse=True)[1].reshape(-1)

    def patient_means(self) -> NDArray[np.float64]:
        """(arms, seeds, patients): the mean of each patient's cases."""
        sums, cases = patient_sums(self.values, self.patient_of_case())
        return sums / cases


def patient_sums(
    values: NDArray[np.float64], patient: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums (..., patients) of values (..., cases) over each patient's cases, and the number of those (patients,)."""
    member = np.equal.outer(patient, np.arange(patient.max() + 1)).astype(np.float64)
    return values @ member, member.sum(0)


def tabulate(scores: Iterable[Score], common_seeds: bool = False) -> dict[float, ScoreTable]:
    """Tables by label budget, smallest budget first.

    Args:
        scores: of any number of runs, in any order.
        common_seeds: what to do where an arm lacks a seed that another has. False refuses: a run that is missing
            has often failed, and a study without its failures flatters the arm that failed. True pairs the seeds
            that all arms have, and notes the others in ``left_out``.

    Raises:
        InputError: no scores; fewer than two arms; a value that is not finite; a case scored twice in one run, or
            given to two patients; a seed or a case that only some runs have.
    """
    by_budget: dict[float, list[Score]] = {}
    for score in scores:
        by_budget.setdefault(score.budget, []).append(score)
    if not by_budget:
        raise InputError("no scores: expected the cases of at least two arms")
    return {budget: _table(budget, by_budget[budget], common_seeds) for budget in sorted(by_budget)}


def _table(budget: float, scores: Sequence[Score], common_seeds: bool) -> ScoreTable:
    at = f"budget {budget:g}"
    _refuse(
        f"{at}: not a finite number",
        [f"{_run(s.arm, s.seed)}, case {s.case}: {s.value}" for s in scores if not math.isfinite(s.value)],
    )
    runs: dict[tuple[str, int], dict[str, float]] = {}
    patients: dict[str, str] = {}
    twice, torn = [], []
    for s in scores:
        run = runs.setdefault((s.arm, s.seed), {})
        if s.case in run:
            twice.append(f"{_run(s.arm, s.seed)}, case {s.case}")
        run[s.case] = s.value
        if patients.setdefault(s.case, s.patient) != s.patient:
            torn.append(f"case {s.case} of {patients[s.case]} and of {s.patient}")
    _refuse(f"{at}: a case that one run scored twice", twice)
    _refuse(f"{at}: a case that belongs to two patients", list(dict.fromkeys(torn)))
    arms = tuple(dict.fromkeys(arm for arm, _ in runs))
    if len(arms) < 2:
        raise InputError(f"{at}: only the arm {arms[0]}, expected at least two to compare")
    seeds, left_out = _common(at, arms, runs, common_seeds)
    cases = tuple(sorted({case for arm in arms for seed in seeds for case in runs[arm, seed]}))
    _refuse(
        f"{at}: runs without a case that others have (arms are paired case by case: evaluate all on the same split)",
        [
            f"{_run(arm, seed)} lacks {some([case for case in cases if case not in runs[arm, seed]], separator=', ')}"
            for arm in arms
            for seed in seeds
            if len(runs[arm, seed]) < len(cases)
        ],
    )
    values = np.array([[[runs[arm, seed][case] for case in cases] for seed in seeds] for arm in arms], np.float64)
    return ScoreTable(budget, arms, seeds, cases, tuple(patients[case] for case in cases), values, left_out)


def _common(
    at: str, arms: Sequence[str], runs: Iterable[tuple[str, int]], common_seeds: bool
) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]]:
    """Seeds that all arms have, and the runs with others."""
    runs = set(runs)
    seeds = sorted({seed for _, seed in runs})
    lacking = [(arm, seed) for arm in arms for seed in seeds if (arm, seed) not in runs]
    if not common_seeds:
        _refuse(f"{at}: runs missing, so that seeds cannot be paired", [_run(arm, seed) for arm, seed in lacking])
    common = tuple(seed for seed in seeds if seed not in {seed for _, seed in lacking})
    if not common:
        raise InputError(f"{at}: no seed that all of {', '.join(arms)} have")
    return common, tuple(sorted((arm, seed) for arm, seed in runs if seed not in common))


def _run(arm: str, seed: int) -> str:
    return f"{arm} with seed {seed}"


def _refuse(what: str, culprits: Sequence[str]) -> None:
    if culprits:
        raise InputError(f"{what}: {some(culprits)}")
