"""A study read from its record (:mod:`segxfer3d.study.records`): the same runs as in its folder, without the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.report.run_files import Problem
from segxfer3d.study.records import Record, document, read_records
from segxfer3d.study.states import RECORDED


def recorded_trials(folder: Path, study: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The trials of a record: entries as in ``trials.json``, in a study's order, and the files that each run left.

    Args:
        folder: of the record.
        study: its ``study.json``.

    Raises:
        InputError: records that were edited or are damaged.
    """
    records = sorted(read_records(folder), key=lambda record: _place(record, study))
    entries = [dict(record.entry) for record in records]
    return entries, [{**record.texts, RECORDED: document(record.entry)} for record in records]


def _place(record: Record, study: Mapping[str, Any]) -> tuple[int, ...]:
    """Where a trial stands in its study: pretrainings, then seed by seed, data, budgets, arms."""
    entry = record.entry
    budgets = [budget.get("name") for budget in study.get("budgets", [])]
    order: tuple[Sequence[Any], ...] = (list(study.get("data", {})), budgets, list(study.get("arms", {})))
    kind = 0 if entry["kind"] == "pretrain" else 1
    names = (entry["data"], entry["budget_name"], entry["arm"])
    places = [known.index(name) if name in known else len(known) for known, name in zip(order, names, strict=True)]
    data, budget, arm = places
    return (kind, entry["seed"] or 0, data, budget, entry.get("fold") or 0, arm, entry.get("pretrain_seed") or 0)


def differing_starts(entries: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Where fine-tunings that share a pretraining started from different weights of it.

    Args:
        entries: of trials, as in a record.
    """
    weights: dict[str, set[str]] = {}
    for entry in entries:
        if start := entry.get("start"):
            again = f" with seed {entry['pretrain_seed']}" if entry.get("pretrain_seed") is not None else ""
            again += f" for fold {entry['fold']}" if entry.get("fold") is not None else ""
            weights.setdefault(f"{entry['pretrain']} of {entry['data']}{again}", set()).add(str(start["model"]))
    return [
        Problem(name, f"fine-tunings started from {len(models)} different weights of this pretraining")
        for name, models in weights.items()
        if len(models) > 1
    ]
