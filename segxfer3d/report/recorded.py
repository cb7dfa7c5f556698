"""A study read from its record (:mod:`segxfer3d.study.records`): the same runs as in its folder, without the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.errors import some
from segxfer3d.report.run_files import Problem
from segxfer3d.study.records import Record, document, read_records
from segxfer3d.study.states import RECORDED


def recorded_trials(
    folder: Path, study: Mapping[str, Any], problems: list[Problem]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The trials of a record: entries as in ``trials.json``, in a study's order, and the files that each run left.

    A study that was edited between runs may have left records of what it has no more: they are in its folder's
    ``trials.json`` no more either, and are left out.

    Args:
        folder: of the record.
        study: its ``study.json``.
        problems: to add to, what is left out.

    Raises:
        InputError: records that were edited or are damaged.
    """
    records = _of_study(read_records(folder), study, problems)
    records.sort(key=lambda record: _place(record, study))
    entries = [dict(record.entry) for record in records]
    return entries, [{**record.texts, RECORDED: document(record.entry)} for record in records]


def _of_study(records: Sequence[Record], study: Mapping[str, Any], problems: list[Problem]) -> list[Record]:
    """Those of trials that a study has, as far as its ``study.json`` tells."""
    finetunings = [record for record in records if record.entry["kind"] != "pretrain"]
    gone = {record.folder: what for record in finetunings if (what := _lacking(record.entry, study))}
    needed = {name for record in finetunings if record.folder not in gone for name in record.entry["depends"]}
    for record in records:
        entry = record.entry
        if entry["kind"] == "pretrain" and entry["id"] not in needed and (what := _unused(entry, study)):
            gone[record.folder] = what
    for what in dict.fromkeys(gone.values()):
        places = [place for place, why in gone.items() if why == what]
        problems.append(Problem("study.json", f"has no {what}: left out, though in the record, {some(places, 3)}"))
    return [record for record in records if record.folder not in gone]


def _lacking(entry: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """What of a fine-tuning a study does not have; empty where it has all."""
    budgets = {budget.get("name"): budget for budget in study.get("budgets") or ()}
    seeds = budgets.get(entry["budget_name"], {}).get("seeds") or study.get("seeds")
    for what, has, known in (
        ("arm", entry["arm"], study.get("arms")),
        ("data", entry["data"], study.get("data")),
        ("label budget", entry["budget_name"], budgets),
        ("seed", entry["seed"], seeds),
    ):
        if known and has not in known:
            return f"{what} {has}"
    fold = entry.get("fold")
    if study and fold is not None and fold >= (study.get("folds") or 0):
        return f"fold {fold}"
    return _lacking_pretraining(entry, study)


def _lacking_pretraining(entry: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    seed = entry.get("pretrain_seed")
    missing = study and seed is not None and seed not in (study.get("pretrain_seeds") or ())
    return f"pretraining with seed {seed}" if missing else ""


def _unused(entry: Mapping[str, Any], study: Mapping[str, Any]) -> str:
    """What of a pretraining a study does not have, that none of its fine-tunings starts from."""
    arms = (study.get("arms") or {}).values()
    if arms and entry["pretrain"] not in {arm.get("pretrain") for arm in arms if isinstance(arm, dict)}:
        return f"arm that starts from {entry['pretrain']}"
    return _lacking_pretraining(entry, study)


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
