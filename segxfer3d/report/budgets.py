"""Label budgets: how many labels each is, and what it is called in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segxfer3d.report.run_files import PERCENT, Run


def by_labels(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Name of a label budget to its runs, the fewest labels first: as ``labels.json`` counts them on average.

    Where that does not tell of some budget, shares come first, then numbers of labels, then all: 0.5 of 30 patients are
    more than 2, but who says that there are 30.

    Args:
        runs: of one data set.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.budget_name, []).append(run)
    counts = {name: [len(run.labeled()) for run in group] for name, group in groups.items()}
    known = all(all(of_runs) for of_runs in counts.values())

    def place(name: str) -> tuple[Any, ...]:
        mean = float(np.mean(counts[name])) if known else 0.0
        return mean, _is_all(name, groups[name][0].budget or 0.0), groups[name][0].budget or 0.0, name

    return {name: groups[name] for name in sorted(groups, key=place)}


def budget_words(name: str, budget: float, runs: Sequence[Run]) -> str:
    """A label budget in words."""
    of = units_of(runs)
    if _is_all(name, budget):
        return f"all {of} labeled"
    if name.startswith("f"):
        return f"{PERCENT * budget:g} % of the {of} labeled"
    return f"{budget:g} labeled {of if budget != 1 else of[:-1]}"


def units_of(runs: Sequence[Run]) -> str:
    """What runs that are shown together split and label, a plural."""
    return "patients" if any(run.unit == "patient" for run in runs) else "images"


def _is_all(name: str, budget: float) -> bool:
    """Whether a label budget is all labels."""
    return name == "all" or (name.startswith("f") and budget == 1)
