"""Whether trainings that are kept together had the same options, also where a part of them ran somewhere else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segxfer3d.config import earlier
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError, numbered, some
from segxfer3d.study.matching import all_differences, compared
from segxfer3d.study.records import Record
from segxfer3d.study.trials import Trial

AXES = ("seed", "fold")  # in which the trainings of one arm, data set and label budget differ
_AMP = "amp"
_OF_PRETRAINING = "pretraining's "


def refuse_other_options(
    target: Path, before: Mapping[str, Record], trials: Sequence[Trial], done: Collection[str], bundles: Collection[str]
) -> None:
    """Refuse to add trials to records of other trainings.

    A record of a trial has to be of what the study means by it, and a trial that is added of the same as those there of
    its arm, data set and label budget.

    Args:
        target: the record's folder, for messages.
        before: what is there, by folder.
        trials: of the study.
        done: ids of those that are kept.
        bundles: folders of shipped bundles, wherever the study ran.

    Raises:
        InputError: some are of others, each with what is another.
    """
    by_id = {trial.id: _with_bundle_of_today(trial, bundles) for trial in trials}
    first: dict[tuple[Any, ...], Record] = {}
    for there in before.values():
        first.setdefault(_group(there.entry), there)
    wrong: dict[str, list[str]] = {}
    for trial in by_id.values():
        if trial.kind != "finetune":
            continue  # with other options it is another one, in a folder of its own; what starts from it tells
        own = before.get(trial.folder)
        record = first.get(_group(vars(trial))) if own is None and trial.id in done else own
        if record and (words := all_differences(record, trial, by_id, but=() if own else AXES)):
            wrong.setdefault(record.folder, words)
    if wrong:
        lines = [f"{place}: was recorded with {some(words, 12)}" for place, words in wrong.items()]
        listed = some(lines, separator="\n  ")
        raise InputError(
            f"{target}: {numbered(len(wrong), 'record is of another training', 'records are of other trainings')} than "
            f"this study means; delete these there, or keep the study elsewhere:\n  {listed}"
        )


def other_options(records: Iterable[Record], study: Mapping[str, Any]) -> list[str]:
    """The fine-tunings with other options than the first of their arm, data set and label budget, each with what is
    another: what a machine chose by itself, or a default that was changed.

    Args:
        records: of the study, those that were there first.
        study: content of its ``study.json``.
    """
    said = {name for name, arm in study.get("arms", {}).items() if _AMP in (arm.get("knobs") or {})}
    first: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = {}
    found = []
    for record in records:
        if record.entry["kind"] != "finetune":
            continue
        values = _values(record)
        precision = {name: values.pop(name) for name in (_AMP, f"{_OF_PRETRAINING}{_AMP}") if name in values}
        words: dict[str, list[str]] = {}
        group = _group(record.entry)
        # a precision is chosen for all arms, but for those that set one
        wider = (record.entry["data"], record.entry["arm"] if record.entry["arm"] in said else None)
        for key, options in ((group, values), (wider, precision)):
            other, known = first.setdefault(key, (record.folder, options))
            for name in sorted({*known} & {*options}):
                if known[name] != options[name]:
                    words.setdefault(other, []).append(f"{name} {options[name]}, not {known[name]}")
        if words:
            each = [f"{some(changes, 5)} as in {other}" for other, changes in words.items()]
            found.append(f"{record.folder}: {'; '.join(each)}")
    return found


def _values(record: Record) -> dict[str, Any]:
    """The options of a fine-tuning that change its result, and those of its pretraining; not what tells seeds apart."""
    start = record.entry.get("start") or {}
    both = (("", record.values), (_OF_PRETRAINING, start.get("values") or {}))
    return {
        f"{prefix}{name}": values[name]
        for prefix, values in ((prefix, earlier.as_today(values)) for prefix, values in both if values)
        for name in compared(values)
        if name not in AXES
    }


def _group(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(name) for name in ("kind", "data", "arm", "budget_name"))


def _with_bundle_of_today(trial: Trial, bundles: Collection[str]) -> Trial:
    """A trial of a shipped bundle of another checkout, as one of this."""
    path = Path(trial.config)
    return replace(trial, config=str(shipped_folder() / path.name)) if str(path.parent) in bundles else trial
