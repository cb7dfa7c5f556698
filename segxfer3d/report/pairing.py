"""Which runs and cases are paired; where pairs cannot be made, the reason is a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segxfer3d.errors import InputError, some
from segxfer3d.report.budgets import units_of
from segxfer3d.report.run_files import Run
from segxfer3d.statistics.describe import ArmSummary, describe
from segxfer3d.statistics.scores import Score, ScoreTable, tabulate
from segxfer3d.statistics.trainings import run_name


def once(runs: Sequence[Run], notes: list[str]) -> list[Run]:
    """Runs that differ in arm, seed or the seed of their pretraining; of others the last one counts."""
    last: dict[tuple[str, int | None, int | None], Run] = {}
    for run in runs:
        key = (run.arm, run.seed, run.pretrain_seed)
        if key in last:
            notes.append(f"{run_name(key)} ran more than once: {run.name} counts.")
        last[key] = run
    return list(last.values())


def paired(runs: Sequence[Run], notes: list[str], missing: list[str]) -> ScoreTable | None:
    """All scores, paired; None where they cannot be, and why.

    Args:
        runs: of one data set and budget.
        notes: to add to.
        missing: to add to, a clause for each run without cases that others have.
    """
    scores = [score for run in runs for score in run.scores["dice"]]
    try:
        (table,) = tabulate(_shared_cases(runs, scores, notes, missing), common_seeds=True).values()
    except InputError as error:
        notes.append(f"No paired test: {error}.")
        return None
    notes += [f"{run_name(run)} counts in no interval and no comparison: {why}." for run, why in table.left_out]
    return replace(table, units=_units(runs, table))


def _units(runs: Sequence[Run], table: ScoreTable) -> str:
    """What the owners of the cases are called: cases that are split by themselves may still belong to groups."""
    units = units_of(runs)
    return "groups" if units == "images" and len(set(table.patients)) < len(table.cases) else units


def _shared_cases(
    runs: Sequence[Run], scores: Sequence[Score], notes: list[str], missing: list[str]
) -> Sequence[Score]:
    """The cases that all runs measured.

    Studies of images are tested on all that is not labeled: each seed has a test part of its own, the same for all
    arms. A case that only some runs of one seed lack has often failed there, so it is said which.
    """
    of_run = [frozenset(score.case for score in run.scores["dice"]) for run in runs]
    shared = frozenset.intersection(*of_run)
    if not shared or all(cases == shared for cases in of_run):
        return scores
    of_seed: dict[int | None, frozenset[str]] = {}
    for run, cases in zip(runs, of_run, strict=True):
        of_seed[run.seed] = of_seed.get(run.seed, frozenset()) | cases
    for run, cases in zip(runs, of_run, strict=True):
        if lost := sorted(of_seed[run.seed] - cases):
            name = run_name((run.arm, run.seed, run.pretrain_seed))
            missing.append(f"{name} did not measure {some(lost, 3, ', ')}")
    if missing:
        notes.append(f"Not every run measured every case: {some(missing, 5)}.")
    if len(set(of_seed.values())) > 1:
        notes.append(
            f"Each seed tests on other cases. Intervals and comparisons are of the {len(shared)} cases that all seeds "
            f"test on (each has {min(map(len, of_seed.values()))} or more); means and standard deviations are of all "
            "cases of each seed."
        )
    return [score for score in scores if score.case in shared]


def other_summaries(table: ScoreTable, runs: Sequence[Run]) -> dict[str, dict[str, ArmSummary]]:
    """Arm to measure to its mean over patients with the interval, of all measures of cases but dice that all runs have.

    Args:
        table: of dice, as it was paired.
        runs: with their scores.
    """
    of_run = {(run.arm, run.seed, run.pretrain_seed if run.arm in table.repeated else None): run for run in runs}
    places = list(zip(table.seeds, table.pretrainings or [None] * len(table.seeds), strict=True))
    chosen = [
        [of_run[arm, seed, pretraining if arm in table.repeated else None] for seed, pretraining in places]
        for arm in table.arms
    ]
    every = [run for of_arm in chosen for run in of_arm]
    found: dict[str, dict[str, ArmSummary]] = {arm: {} for arm in table.arms}
    for measure in every[0].scores:
        if measure == "dice" or any(measure not in run.scores for run in every):
            continue
        by_case = {id(run): {score.case: score.value for score in run.scores[measure]} for run in every}
        values = np.array([[[by_case[id(run)][case] for case in table.cases] for run in of_arm] for of_arm in chosen])
        for summary in describe(replace(table, values=values)):
            found[summary.arm][measure] = summary
    return found
