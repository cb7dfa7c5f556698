"""Simulate studies whose truth is known, judge them by the report's own functions, and write what came out.

``python scripts/verdict_simulation.py [--studies 2000]`` writes ``docs/results/verdicts.json`` and the page
``docs/results/verdicts.md`` beside it; ``--page`` writes the page alone. Scores are in percentage points, every study
has ten arms that are all as good as the eleventh, ``random``, so every "better" or "worse" is wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from simulations import command

from segxfer3d.report.results import FAR, MARGIN
from segxfer3d.statistics.compare import Comparison, compare, corrected
from segxfer3d.statistics.scores import ScoreTable
from segxfer3d.statistics.verdict import judge

OUTPUT = Path(__file__).parents[1] / "docs" / "results" / "verdicts.json"
STUDIES = 2000
SEEDS, PATIENTS = (2, 3, 5, 10), (20, 65)
SPREADS = ((0.0, 5.0, 8.0), (3.0, 5.0, 10.0), (6.0, 5.0, 8.0), (11.0, 4.0, 8.0))
FAMILIES = (4, 10)
LEVEL = 60.0  # mean score
LOST, SHARE = 40.0, 0.2  # of a training that collapses, and how many do
ONE_SIDED = "one-sided collapse"


@dataclass(frozen=True)
class Setting:
    """How simulated studies are made.

    Attributes:
        kind: ``normal``; ``heavy tails``: Student's t with 3 degrees of freedom, of the same spread; ``collapse``:
            normal, and one training in five ends 40 points lower; ``one-sided collapse``: those of ``random`` never do,
            so that the truth is 8 points below 0.
        spread: standard deviations of a difference between seeds, between patients, and of the rest.
        seeds, patients: how many.
    """

    kind: str
    spread: tuple[float, float, float]
    seeds: int
    patients: int


def all_settings() -> list[Setting]:
    """Those of the page."""
    normal = [Setting("normal", spread, *numbers) for spread in SPREADS for numbers in product(SEEDS, PATIENTS)]
    others = [
        Setting(kind, SPREADS[2], *numbers)
        for kind in ("heavy tails", "collapse", ONE_SIDED)
        for numbers in product(SEEDS, PATIENTS)
    ]
    return normal + others


def made_study(rng: np.random.Generator, setting: Setting, arms: int) -> ScoreTable:
    """The scores of a study without any difference; ``random`` is its first arm."""

    def drawn(*shape: int) -> Any:
        if setting.kind == "heavy tails":
            return rng.standard_t(3, shape) / math.sqrt(3)
        return rng.standard_normal(shape)

    # a difference of two arms has twice the variance of one
    of_seed, of_patient, rest = (each / math.sqrt(2) for each in setting.spread)
    seeds, patients = setting.seeds, setting.patients
    values = (
        LEVEL + 15 * drawn(1, 1, patients) + of_seed * drawn(arms, seeds, 1) + of_patient * drawn(arms, 1, patients)
    )
    values = values + rest * drawn(arms, seeds, patients)
    if setting.kind in ("collapse", ONE_SIDED):
        lost = LOST * (rng.random((arms, seeds, 1)) < SHARE)
        lost[0] *= setting.kind != ONE_SIDED
        values = values - lost
    names = tuple(f"p{k}" for k in range(patients))
    return ScoreTable(
        5, ("random", *(f"arm{k}" for k in range(1, arms))), tuple(range(seeds)), names, names, np.asarray(values)
    )


def simulate(setting: Setting, studies: int, seed: int = 0) -> dict[str, Any]:
    """What the report's functions say of such studies.

    Returns:
        ``coverage``: the share of intervals that hold the truth; ``wrong``: of single comparisons called better or
        worse, as ``equivalent`` and ``far`` (a training far from the others was found); ``family_4`` and ``family_10``:
        of families with at least one wrong call; all in [0, 1]. "Worse" is not wrong where the truth is below 0.
    """
    rng = np.random.default_rng([seed, *map(ord, setting.kind), setting.seeds, setting.patients])
    counts: Counter[str] = Counter()
    truth = -LOST * SHARE if setting.kind == ONE_SIDED else 0.0
    wrong = ("better",) if truth < 0 else ("better", "worse")
    for _ in range(studies):
        table = made_study(rng, setting, max(FAMILIES) + 1)
        pairs = [(arm, "random") for arm in table.arms[1:]]
        comparisons = compare(table, pairs, far=FAR)
        first = comparisons[0]
        assert first.interval is not None
        counts["coverage"] += first.interval[0] <= truth <= first.interval[1]
        alone = _called([first])
        counts["wrong"] += sum(alone[kind] for kind in wrong)
        counts["equivalent"] += alone["equivalent"]
        counts["far"] += bool(first.far_off)
        for size in FAMILIES:
            called = _called(comparisons[:size])
            counts[f"family_{size}"] += any(called[kind] for kind in wrong)
    return {
        name: counts[name] / studies for name in ("coverage", "wrong", "equivalent", "far", "family_4", "family_10")
    }


def _called(comparisons: Sequence[Comparison]) -> Counter[str]:
    return Counter(judge(comparison, MARGIN).kind for comparison in corrected(comparisons))


def page(records: Sequence[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    studies = records[0]["studies"]
    lines = [HEAD.format(studies=studies, error=100 * math.sqrt(0.05 * 0.95 / studies)), ""]
    lines += ["| trainings | SD | seeds | patients | intervals that hold | one called | of 4 | of 10 | training far |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for record in records:
        setting, found = record["setting"], record["found"]
        spread = ", ".join(f"{each:g}" for each in setting["spread"])
        shares = [f"{100 * found[name]:.1f}" for name in ("coverage", "wrong", "family_4", "family_10", "far")]
        cells = [setting["kind"], spread, setting["seeds"], setting["patients"], *shares]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", TAIL])


HEAD = """# Verdicts: how often they are wrong

Written by `python scripts/verdict_simulation.py` from [verdicts.json](verdicts.json). Each row is {studies} simulated
studies in which no arm differs from any other, judged by the functions that a report calls, so every arm that is
called better or worse is called so wrongly. All numbers are percent; a true share of 5 % has a standard error of
{error:.1f} here. In the last rows one training in five collapses by 40 points: in all arms alike, or in none of the arm
that the others are compared with, so that they are 8 points worse in truth and only "better" is wrong.

- SD: standard deviations, in dice points, of a difference of two arms between seeds, between patients, and of the rest.
  On the hippocampus our own trainings differ by about 11 points between seeds at 2 labels.
- intervals that hold: of the 95 % intervals of one comparison. One called: called better or worse, as the only
  comparison. Of 4, of 10: studies in which at least one of so many comparisons, all against one arm, is.
- training far: studies of two arms with a training that is said to lie far from the others. Those get no verdict."""
TAIL = """Two seeds give an interval and never a verdict. Where no seed differs from another (SD 0 between seeds), few
seeds cannot know it, and intervals are wider than they need be. Where one training in five collapses in some arms only,
intervals of few seeds miss the truth far too often, because no training has collapsed yet: nobody can know. Where one
has, it is seen, and there is no verdict.
"""


def main() -> None:
    """Simulate, and write both files."""
    command(__doc__, OUTPUT, studies=STUDIES, settings=all_settings(), simulate=simulate, page=page)


if __name__ == "__main__":
    main()
