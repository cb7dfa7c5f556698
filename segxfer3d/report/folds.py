"""Trainings of the folds of one cross-validation taken together: each case measured once, by the one that tests it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from segxfer3d.cells import class_column
from segxfer3d.errors import some
from segxfer3d.report.run_files import PERCENT, Curve, Problem, Run
from segxfer3d.study.states import DONE

_OF_LESIONS = (
    "lesion_sensitivity", "lesion_dice", "lesion_surface_dice", "lesion_volume_error_percent",
    "lesion_absolute_volume_error_percent",
)  # fmt: skip


def fold_of(run: Run) -> tuple[int, int] | None:
    """Which fold a run tests, and of how many; None where it is of none."""
    fold, folds = run.split.get("fold"), run.split.get("folds")
    return (fold, folds) if isinstance(fold, int) and isinstance(folds, int) else None


def joined(runs: Sequence[Run]) -> list[Run]:
    """The same runs, with one in the place of the folds of each training; those that are incomplete are left out.

    Scores are of all cases; measures of lesions count all lesions; the curve is the mean of the folds'. What is of the
    voxels of all cases together (``pooled_dice`` and its like) is left out: no file has what it is made of.

    Args:
        runs: fine-tunings that are done.
    """
    found: list[Run] = []
    for group in _groups(runs):
        if fold_of(group[0]) is None:
            found += group
        elif not _lacking(group) and not _twice(group):
            found.append(_joined(sorted(group, key=lambda run: fold_of(run) or (0, 0))))
    return found


def incomplete(runs: Sequence[Run]) -> list[Problem]:
    """Why folds are in no table: others of them are not done, or test the same cases.

    Args:
        runs: all of a folder, in whatever state.
    """
    done = [run for run in runs if run.kind == "finetune" and run.state == DONE and run.scores]
    problems = []
    for group in _groups(done):
        if fold_of(group[0]) is None:
            continue
        folds = (fold_of(group[0]) or (0, 0))[1]
        if lacking := _lacking(group):
            which = f"fold{'s' * (len(lacking) > 1)} {some(lacking, 10, ', ')} of {folds}"
            problems.append(Problem(group[0].name, f"in no table: {which} of this training are not done"))
        elif twice := _twice(group):
            problems.append(Problem(group[0].name, f"in no table: several folds test {some(twice, 5, ', ')}"))
    return problems


def fold_notes(runs: Sequence[Run]) -> list[str]:
    """What a reader should know of trainings that were joined."""
    folds = sorted({fold[1] for run in runs if (fold := fold_of(run)) is not None})
    if not folds:
        return []
    return [
        f"Cross-validation: a seed is {some(folds, 3, ' or ')} trainings, and each case is measured by the one that "
        "did not train on its fold."
    ]


def _groups(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in the fold only; of one fold that ran twice the last counts. A run without is alone."""
    groups: dict[tuple[Any, ...], dict[Any, Run]] = {}
    for number, run in enumerate(runs):
        fold = fold_of(run)
        alone = (number,) if fold is None else (None, fold[1])
        key = (run.data, run.arm, run.budget_name, run.seed, run.pretrain_seed, *alone)
        groups.setdefault(key, {})[fold] = run
    return [list(group.values()) for group in groups.values()]


def _lacking(group: Sequence[Run]) -> list[int]:
    known = [fold for run in group if (fold := fold_of(run)) is not None]
    return sorted(set(range(known[0][1])) - {fold for fold, _ in known})


def _twice(group: Sequence[Run]) -> list[str]:
    cases = [score.case for run in group for score in run.scores["dice"]]
    return sorted({case for case in cases if cases.count(case) > 1})


def _joined(group: Sequence[Run]) -> Run:
    shared = [measure for measure in group[0].scores if all(measure in run.scores for run in group)]
    scores = {measure: [score for run in group for score in run.scores[measure]] for measure in shared}
    summary: dict[str, Any] = {"cases": len(scores["dice"])}
    for measure, of_cases in scores.items():
        values = [score.value / PERCENT for score in of_cases]
        column = class_column(measure)
        summary[column] = fmean(values)
        summary[f"{column}_std"] = stdev(values) if len(values) > 1 else 0.0
    seconds = [run.seconds for run in group if run.seconds is not None]
    return replace(
        group[0],
        name=f"{group[0].name} and {len(group) - 1} more folds",
        scores=scores,
        summary=summary | _lesions([run.summary for run in group]),
        curve=_mean_curve(group),
        seconds=sum(seconds) if len(seconds) == len(group) else None,
    )


def _mean_curve(group: Sequence[Run]) -> Curve:
    of_runs = [dict(run.curve) for run in group]
    steps = sorted(set.intersection(*(set(curve) for curve in of_runs)))
    return tuple((step, fmean(curve[step] for curve in of_runs)) for step in steps)


def _lesions(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Measures of lesions of all folds together, each lesion weighing the same; nothing where none were measured."""
    if not all("lesions" in summary for summary in summaries):
        return {}
    counts = [int(summary["lesions"]) for summary in summaries]
    false = [int(summary["false_positives"]) for summary in summaries]
    scans = [int(summary["cases"]) for summary in summaries]
    pooled: dict[str, Any] = {"lesions": sum(counts), "false_positives": sum(false)}
    for name in _OF_LESIONS:
        values = [(summary.get(name), count) for summary, count in zip(summaries, counts, strict=True) if count]
        known = [(float(value), count) for value, count in values if isinstance(value, (int, float))]
        pooled[name] = sum(v * n for v, n in known) / sum(counts) if known and len(known) == len(values) else None
    pooled["false_positives_per_scan"] = sum(false) / sum(scans)
    found = (pooled["lesion_sensitivity"] or 0.0) * sum(counts)
    total = found + sum(counts) + sum(false)
    pooled["lesion_f1"] = 2 * found / total if total else None
    return pooled
