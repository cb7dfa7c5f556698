"""Comparisons that are shown and not judged: differences with t intervals, no "better" and no "worse".

The verdicts of :mod:`segxfer3d.statistics.verdict` are too sure where trainings differ: of 100 simulated studies whose
trainings differ much and whose arms do not, they call 8 to 21 different. What was judged by them before, under the
paper recipe, is still shown so. Of studies of the strong recipe only the differences are shown, over patients who weigh
the same, with the interval of :mod:`segxfer3d.statistics.crossed`, until there is a rule that holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from segxfer3d.config.learning import PAPER, recipe_in
from segxfer3d.report.cells import between, signed
from segxfer3d.report.run_files import Run
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.verdict import Verdict

KIND: Final = "not judged"
CAVEAT = (
    "No difference is called better or worse here: the rule that did so with few seeds was too often wrong. Intervals "
    "are t intervals over seeds and patients (crossed, every patient weighing the same), each for its comparison "
    "alone; where a training now and then fails, they are too narrow. All seeds share one pretraining."
)


def is_judged(runs: Sequence[Run]) -> bool:
    """Whether comparisons of these runs get verdicts: those of the paper recipe do."""
    return all(recipe_in(run.knobs) == PAPER for run in runs)


def unjudged(pair: Comparison) -> tuple[Comparison, Verdict]:
    """A comparison with the difference and the interval that are shown where nothing is judged."""
    over = pair.over_patients
    shown = replace(pair, difference=over.difference, interval=over.interval, seed_differences=over.by_seed)
    return shown, Verdict(KIND, f"{clause(shown)}; {pair.seeds} seeds, {pair.patients} patients")


def clause(pair: Comparison) -> str:
    """The difference in words, with its interval."""
    interval = "" if pair.interval is None else f", 95 % interval {between(pair.interval, sign=True)}"
    return f"{pair.arm} less {pair.reference} {signed(pair.difference)} dice points{interval}"
