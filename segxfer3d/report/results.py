"""The statistics of a report: one result for each data set and label budget, in percent.

The numbers are those of :mod:`segxfer3d.statistics`; here is decided what goes into them, and what is said where pairs
cannot be made: then means and standard deviations still stand, and the reason why there is no test beside them. All
comparisons of a report, of all label budgets and data sets, are one family.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from segxfer3d.errors import InputError
from segxfer3d.report.arms import Arm
from segxfer3d.report.budgets import budget_words, by_labels, units_of
from segxfer3d.report.cells import Spread, spread
from segxfer3d.report.collect import Collection
from segxfer3d.report.curves import convergence, curves
from segxfer3d.report.folds import fold_notes, joined
from segxfer3d.report.pairing import once, other_summaries, paired
from segxfer3d.report.published import Published
from segxfer3d.report.run_files import PERCENT, Run
from segxfer3d.report.scores import class_columns
from segxfer3d.report.starts import loading_arms
from segxfer3d.statistics.compare import Comparison, compare, corrected
from segxfer3d.statistics.convergence import SEEDS_ALONE, Convergence
from segxfer3d.statistics.describe import ArmSummary, describe
from segxfer3d.statistics.interval import Interval, t_interval
from segxfer3d.statistics.pairs import planned_pairs
from segxfer3d.statistics.scores import ScoreTable
from segxfer3d.statistics.trainings import Pretrainings, pretrainings_of
from segxfer3d.statistics.verdict import Verdict, judge, with_needed

POOLED = ("genesis_dice", "pooled_dice", "genesis_iou")
MARGIN = 2.0  # dice points that do not matter, where the study file does not say
FAR = 10.0  # dice points that a training is at least from its arm's others to be called far from them
# of the summaries of runs that measured lesions: name -> its name in a table, and what it is multiplied with
LESIONS = {
    "lesion_sensitivity": ("sensitivity", PERCENT),
    "false_positives_per_scan": ("false positives a scan", 1.0),
    "lesion_f1": ("F1", PERCENT),
    "lesion_dice": ("dice of a lesion", PERCENT),
    "lesion_surface_dice": ("surface dice of a lesion", PERCENT),
    "lesion_volume_error_percent": ("volume error, %", 1.0),
    "lesion_absolute_volume_error_percent": ("absolute volume error, %", 1.0),
}


@dataclass(frozen=True)
class ArmResult:
    """One arm: mean and standard deviation over seeds of each measure, in percent.

    Attributes:
        arm: which.
        measures: ``dice``, ``iou``, ``genesis_dice``, ``pooled_dice``, ``genesis_iou``, and ``dice_<class>`` where
            there are several.
        interval: 95 % of the mean dice over the patients that are compared; None where there are too few seeds or
            patients, or no pairs.
        over_patients: mean over patients and seeds of the cases that are compared, of each measure of cases: what
            intervals are around. ``measures`` weigh all cases the same, as the paper does. Empty without pairs.
        seeds: of its runs; where pretraining is repeated, each may have several.
        cases: measured by each run; the smallest number where they differ.
        published: the paper's figure of this task.
        lesions: measures of lesions (:data:`LESIONS`), where all runs have them; all but the counts in percent.
        trainings: mean dice of each, over patients where ``over_patients`` has it.
        intervals: of the other measures: as ``interval`` where each case has one, and over seeds (Student's) of
            measures of lesions, which are of all cases together.
    """

    arm: Arm
    measures: Mapping[str, Spread]
    interval: Interval | None
    seeds: tuple[int, ...]
    cases: int
    published: Published | None = None
    lesions: Mapping[str, Spread] = field(default_factory=dict)
    over_patients: Mapping[str, float] = field(default_factory=dict)
    trainings: tuple[float, ...] = ()
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result:
    """One data set at one label budget.

    Attributes:
        data, budget, budget_name, title: which.
        arms: in the study's order.
        comparisons: of dice, with what they say.
        compared: cases and patients behind the comparisons.
        curves: dice over steps of every arm and seed.
        convergence, to_reference: steps to 95 % of each arm's own final dice, and of the reference's.
        reference: name of the arm that the others are compared with.
        notes: what is missing or restricted, and why.
        margin: dice points that do not matter.
        missing: runs without cases that others have; those cases are in no comparison.
        scores: of dice, as they were paired; None where they could not be.
        pretrainings: which arms repeat theirs.
    """

    data: str
    budget: float
    budget_name: str
    title: str
    runs: tuple[Run, ...]
    arms: tuple[ArmResult, ...]
    reference: str
    comparisons: tuple[tuple[Comparison, Verdict], ...] = ()
    compared: tuple[int, int] = (0, 0)
    curves: Mapping[str, Mapping[int, Sequence[tuple[float, float]]]] = field(default_factory=dict)
    convergence: tuple[Convergence, ...] = ()
    to_reference: tuple[Convergence, ...] = ()
    notes: tuple[str, ...] = ()
    margin: float = MARGIN
    missing: tuple[str, ...] = ()
    scores: ScoreTable | None = field(default=None, repr=False)
    pretrainings: Pretrainings = SEEDS_ALONE

    @property
    def units(self) -> str:
        """Whose cases they are, a plural; images that belong to nobody are their own."""
        return self.scores.units if self.scores else units_of(self.runs)

    @property
    def who(self) -> str:
        """The cases behind the comparisons and whose they are."""
        cases, owners = self.compared
        return f"{cases} images" if self.units == "images" else f"{cases} cases of {owners} {self.units}"

    def best(self) -> ArmResult:
        """The arm with the highest mean dice: over patients, as comparisons are, where every arm has that."""
        paired = all("dice" in arm.over_patients for arm in self.arms)
        return max(self.arms, key=lambda arm: arm.over_patients["dice"] if paired else arm.measures["dice"][0])

    def shown_pair(self) -> tuple[Comparison, Verdict] | None:
        """The arm of the highest mean against the reference; where that is the reference, the arm that comes next."""
        pairs = [pair for pair in self.comparisons if pair[0].reference == self.reference]
        best = self.best().arm.name
        chosen = [pair for pair in pairs if pair[0].arm == best] or pairs
        return max(chosen, key=lambda pair: pair[0].difference, default=None)

    def against(self, arm: str, reference: str) -> tuple[Comparison, Verdict] | None:
        """The comparison of two arms, where it was made."""
        return next((pair for pair in self.comparisons if (pair[0].arm, pair[0].reference) == (arm, reference)), None)


def results(
    collection: Collection,
    published: Mapping[tuple[str, str, str], Published] | None = None,
    margin: float | None = None,
) -> list[Result]:
    """All results, by data set in the order of the runs, the budget with the fewest labels first.

    Args:
        collection: of runs; those that are done count.
        published: figures of the paper by (arm, data, budget_name).
        margin: largest difference of dice that does not matter, in percentage points; None: the study file's
            ``margin``, or :data:`MARGIN`.

    Raises:
        InputError: a margin that somebody chose and that is no positive number, or not smaller than the spread of all
            scores.
    """
    chosen_margin = (collection.study.get("margin") or None) if margin is None else margin
    margin = MARGIN if chosen_margin is None else float(chosen_margin)
    runs = joined(collection.finetunings())
    several = len({run.data for run in runs}) > 1
    parts = []
    for data in dict.fromkeys(run.data for run in runs):
        for name, chosen in by_labels([run for run in runs if run.data == data]).items():
            title = budget_words(name, chosen[0].budget or 0.0, chosen)
            whole = f"{data}, {title}" if several else title
            parts.append(_result(collection, chosen, whole, published or {}))
    if chosen_margin is not None:  # of scores that lie closer together than the usual one, all are alike
        _check_margin(margin, [table for _, table, _ in parts if table is not None])
    family = iter(corrected([pair for _, _, pairs in parts for pair in pairs]))
    return [
        replace(result, margin=margin, comparisons=_judged(islice(family, len(pairs)), margin))
        for result, _, pairs in parts
    ]


def _judged(comparisons: Iterable[Comparison], margin: float) -> tuple[tuple[Comparison, Verdict], ...]:
    """Corrected comparisons with their verdicts."""
    return tuple((pair, with_needed(judge(pair, margin), pair, margin)) for pair in comparisons)


def _check_margin(margin: float, tables: Sequence[ScoreTable]) -> None:
    """Refuse a margin that any two scores lie within.

    Raises:
        InputError: it is.
    """
    widest = max((float(np.ptp(table.values)) for table in tables), default=0.0)
    if tables and margin >= widest > 0:
        raise InputError(f"margin {margin:g}: the scores lie within {widest:.3g} points, expected less than that")


def _result(
    collection: Collection,
    runs: Sequence[Run],
    title: str,
    published: Mapping[tuple[str, str, str], Published],
) -> tuple[Result, ScoreTable | None, list[Comparison]]:
    """The result of runs with one data set and one budget, what was paired, and the comparisons, not corrected yet."""
    data, budget, name = runs[0].data, runs[0].budget or 0.0, runs[0].budget_name
    notes: list[str] = []
    runs = once(runs, notes)
    notes += fold_notes(runs)
    order = [arm.name for arm in collection.arms if any(run.arm == arm.name for run in runs)]
    arms = [collection.arm(arm) for arm in order]
    reference = next((arm.name for arm in arms if arm.init == "random"), order[0])
    ordered = [run for arm in order for run in sorted(runs, key=lambda run: run.seed or 0) if run.arm == arm]
    missing: list[str] = []
    table = paired(ordered, notes, missing)
    summaries = {} if table is None else {summary.arm: summary for summary in describe(table)}
    others = {} if table is None else other_summaries(table, ordered)
    loading = loading_arms({arm.name: arm.init for arm in arms}, ordered)
    pairs = [] if table is None else compare(table, planned_pairs(arms, reference), far=FAR, loading=loading)
    drawn = curves(ordered, notes)
    repeated = pretrainings_of([(run.arm, run.seed or 0, run.pretrain_seed) for run in ordered], loading)
    to_itself, to_reference = convergence(drawn, reference, repeated, notes)
    result = Result(
        data=data,
        budget=budget,
        budget_name=name,
        title=title,
        runs=tuple(ordered),
        arms=tuple(
            _arm_result(
                arm, ordered, summaries.get(arm.name), published.get((arm.name, data, name)), others.get(arm.name, {})
            )
            for arm in arms
        ),
        reference=reference,
        compared=(len(table.cases), len(set(table.patients))) if table is not None else (0, 0),
        curves=drawn,
        convergence=to_itself,
        to_reference=to_reference,
        notes=tuple(notes),
        missing=tuple(missing),
        scores=table,
        pretrainings=repeated,
    )
    return result, table, pairs


def level(comparison: Comparison) -> str:
    """What ``seed_differences`` are of: a ``seed`` each, or a ``pretraining``."""
    return "pretraining" if comparison.scope == "pretext" else "seed"


def _arm_result(
    arm: Arm,
    runs: Sequence[Run],
    summary: ArmSummary | None,
    published: Published | None,
    others: Mapping[str, ArmSummary],
) -> ArmResult:
    runs = [run for run in runs if run.arm == arm.name]
    by_run: dict[str, list[float]] = {
        measure: [float(np.mean([score.value for score in run.scores[measure]])) for run in runs]
        for measure in runs[0].scores
        if all(measure in run.scores for run in runs)
    }
    columns = {name: name for name in POOLED} | class_columns(runs[0].summary)
    for name, measure in columns.items():
        if values := _of_all(runs, name):
            by_run[measure] = [PERCENT * value for value in values]
    lesions = {name: [factor * value for value in _of_all(runs, name)] for name, (_, factor) in LESIONS.items()}
    summaries = dict(others) if summary is None else {"dice": summary, **others}
    return ArmResult(
        arm=arm,
        measures={name: spread(values) for name, values in by_run.items()},
        interval=None if summary is None else summary.interval,
        over_patients={name: each.mean for name, each in summaries.items()},
        trainings=tuple(by_run["dice"]) if summary is None else summary.seed_means,
        seeds=tuple(dict.fromkeys(run.seed for run in runs if run.seed is not None)),
        cases=min(len(run.scores["dice"]) for run in runs),
        published=published,
        lesions={name: spread(values) for name, values in lesions.items() if values},
        intervals={
            **{name: each.interval for name, each in others.items()},
            **{name: t_interval(values) for name, values in lesions.items() if values},
        },
    )


def _of_all(runs: Sequence[Run], name: str) -> list[float]:
    """A number of the summary of each run; empty where one has none."""
    values = [run.summary.get(name) for run in runs]
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and np.isfinite(value)]
    return numbers if len(numbers) == len(values) else []
