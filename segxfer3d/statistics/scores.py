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
from segxfer3d.statistics.trainings import LeftOut, Run, common_trainings, repeated_arms, run_name


@dataclass(frozen=True)
class Score:
    """One number of one case, after the training of one arm with one seed on one label budget."""

    arm: str
    budget: float
    seed: int
    case: str
    patient: str
    value: float
    pretraining: int | None = None  # its seed, of an arm whose pretraining is repeated


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """All scores of one label budget.

    Attributes:
        budget: number or share of labels.
        arms, seeds, cases: names of the axes; arms in the order of their first score, the others sorted.
        patients: whose case it is, one for each case.
        units: what these are called in sentences, a plural: images that are their own, for example.
        values: (arms, seeds, cases), all finite.
        left_out: runs that are not in the table, each with the reason, such as that another arm lacks their seed.
        pretrainings: where arms repeat their pretraining, the seed of the pretraining of each place on the axis of
            seeds, so that a seed comes once for each; else empty.
        repeated: the arms that do. Any other arm has the same values for every pretraining of a seed.
    """

    budget: float
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    values: NDArray[np.float64]
    left_out: tuple[LeftOut, ...] = ()
    pretrainings: tuple[int, ...] = ()
    repeated: frozenset[str] = frozenset()
    units: str = "patients"

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
        [f"{run_name(_run(s))}, case {s.case}: {s.value}" for s in scores if not math.isfinite(s.value)],
    )
    runs: dict[Run, dict[str, float]] = {}
    patients: dict[str, str] = {}
    twice, torn = [], []
    for s in scores:
        run = runs.setdefault(_run(s), {})
        if s.case in run:
            twice.append(f"{run_name(_run(s))}, case {s.case}")
        run[s.case] = s.value
        if patients.setdefault(s.case, s.patient) != s.patient:
            torn.append(f"case {s.case} of {patients[s.case]} and of {s.patient}")
    _refuse(f"{at}: a case that one run scored twice", twice)
    _refuse(f"{at}: a case that belongs to two patients", list(dict.fromkeys(torn)))
    arms = tuple(dict.fromkeys(arm for arm, _, _ in runs))
    if len(arms) < 2:
        raise InputError(f"{at}: only the arm {arms[0]}, expected at least two to compare")
    repeated = repeated_arms(at, runs)
    trainings, left_out = common_trainings(at, runs, repeated, common_seeds=common_seeds)
    axis = {arm: [(arm, seed, pre if arm in repeated else None) for seed, pre in trainings] for arm in arms}
    cases = tuple(sorted({case for of_arm in axis.values() for run in of_arm for case in runs[run]}))
    _refuse(
        f"{at}: runs without a case that others have (arms are paired case by case: evaluate all on the same split)",
        [
            f"{run_name(run)} lacks {some([case for case in cases if case not in runs[run]], separator=', ')}"
            for of_arm in axis.values()
            for run in dict.fromkeys(of_arm)
            if len(runs[run]) < len(cases)
        ],
    )
    return ScoreTable(
        budget=budget,
        arms=arms,
        seeds=tuple(seed for seed, _ in trainings),
        cases=cases,
        patients=tuple(patients[case] for case in cases),
        values=np.array([[[runs[run][case] for case in cases] for run in axis[arm]] for arm in arms], np.float64),
        left_out=left_out,
        pretrainings=tuple(pre for _, pre in trainings if pre is not None),
        repeated=repeated,
    )


def _run(score: Score) -> Run:
    return score.arm, score.seed, score.pretraining


def _refuse(what: str, culprits: Sequence[str]) -> None:
    if culprits:
        raise InputError(f"{what}: {some(culprits)}")
