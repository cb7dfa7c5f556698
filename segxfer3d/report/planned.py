"""How much of what a study plans to compare is done: what is corrected together grows as trainings are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from segxfer3d.report.collect import Collection
from segxfer3d.report.results import Result
from segxfer3d.statistics.pairs import planned_pairs
from segxfer3d.study.definition import CROSSED


def unfinished(collection: Collection, results: Sequence[Result]) -> list[str]:
    """A sentence on how many of the planned comparisons are done; none where all are, or nothing says what is planned.

    Args:
        collection: of a study, or of its record, which has only the trainings that are done.
        results: of it.
    """
    study = collection.study
    data, budgets = study.get("data") or {}, study.get("budgets") or []
    entries = study.get("arms") or {}
    arms = [arm for arm in collection.arms if arm.name in entries]
    if not (data and budgets and study.get("seeds") and len(arms) > 1):
        return []
    done = Counter((run.data, run.budget_name, run.arm) for run in collection.finetunings())
    reference = next((arm.name for arm in arms if arm.init == "random"), arms[0].name)
    planned = list(product(data, budgets, planned_pairs(arms, reference)))
    whole = sum(
        all(done[name, budget["name"], arm] >= _trainings(study, budget, entries[arm]) for arm in pair)
        for name, budget, pair in planned
    )
    if whole == len(planned):
        return []
    tested = sum(pair.p_value is not None for result in results for pair, _ in result.comparisons)
    return [
        f"{whole} of {len(planned)} planned comparisons are done, with all of their seeds; p-values are corrected for "
        f"the {tested} that have one so far, so verdicts may change as others come."
    ]


def _trainings(study: Mapping[str, Any], budget: Mapping[str, Any], arm: Mapping[str, Any]) -> int:
    """How many fine-tunings a study plans of an arm, on one data set with one label budget."""
    seeds = budget.get("seeds") or study["seeds"]
    again = study.get("pretrain_seeds") if study.get("pretrain_design") == CROSSED and arm.get("pretrain") else None
    folds = study.get("folds")
    return math.prod([*(len(axis) for axis in (seeds, again) if isinstance(axis, list)), folds or 1])
