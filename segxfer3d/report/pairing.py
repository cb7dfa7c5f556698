"""Which runs and cases are paired; where pairs cannot be made, the reason is a note."""

from __future__ import annotations

from collections.abc import Sequence

from segxfer3d.errors import InputError
from segxfer3d.report.run_files import Run
from segxfer3d.statistics.scores import Score, ScoreTable, tabulate


def once(runs: Sequence[Run], notes: list[str]) -> list[Run]:
    """Runs that differ in arm or seed; of others the last one counts."""
    last: dict[tuple[str, int | None], Run] = {}
    for run in runs:
        if (run.arm, run.seed) in last:
            notes.append(f"{run.arm} with seed {run.seed} ran more than once: {run.name} counts.")
        last[run.arm, run.seed] = run
    return list(last.values())


def paired(runs: Sequence[Run], notes: list[str]) -> ScoreTable | None:
    """All scores, paired; None where they cannot be, and why."""
    scores = [score for run in runs for score in run.scores["dice"]]
    try:
        (table,) = tabulate(_shared_cases(runs, scores, notes), common_seeds=True).values()
    except InputError as error:
        notes.append(f"No paired test: {error}.")
        return None
    for arm, seed in table.left_out:
        notes.append(
            f"{arm} with seed {seed} counts in no interval and no comparison: another arm has no such run that is done."
        )
    return table


def _shared_cases(runs: Sequence[Run], scores: Sequence[Score], notes: list[str]) -> Sequence[Score]:
    """The cases that all runs measured, where each seed has a test part of its own, the same for all arms.

    Such are studies of images, which are tested on all that is not labeled. Other differences are left for
    :func:`tabulate` to refuse: a case that one arm lacks has often failed there.
    """
    of_seed: dict[int | None, set[frozenset[str]]] = {}
    for run in runs:
        of_seed.setdefault(run.seed, set()).add(frozenset(score.case for score in run.scores["dice"]))
    parts = {part for of_a_seed in of_seed.values() for part in of_a_seed}
    if len(parts) == 1 or any(len(of_a_seed) > 1 for of_a_seed in of_seed.values()):
        return scores
    shared = frozenset.intersection(*parts)
    if not shared:
        return scores
    notes.append(
        f"Each seed tests on other cases. Intervals and comparisons are of the {len(shared)} cases that all seeds test "
        f"on (each has {min(map(len, parts))} or more); means and standard deviations are of all cases of each seed."
    )
    return [score for score in scores if score.case in shared]
