"""Which records of a study stand for which of its trials.

A record stands for a trial where what was asked for is the same: the bundle, the values of all options, the data (by
content, wherever it lies), and the same of the pretraining that it starts from. An option that came later and is known
to mean something else by default now is one of these. The code is not asked: a record says
what its code version found, and which one that was, and stays valid when a module is edited or a bundle gets a new
option. A change that makes old figures wrong is for the one who makes it to say: by deleting the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.config import earlier, recipes
from segxfer3d.config.learning import recipe_in
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError, numbered, some
from segxfer3d.study import options
from segxfer3d.study.code import read_config
from segxfer3d.study.identity import other_data
from segxfer3d.study.machine_paths import BUNDLES
from segxfer3d.study.plan_files import PLAN, names_file
from segxfer3d.study.recipes import RECIPE
from segxfer3d.study.records import Record, read_records, read_study_name
from segxfer3d.study.trials import Trial


@dataclass(frozen=True)
class Match:
    """What of a study is recorded.

    Attributes:
        source: the record's folder.
        records: by the id of the trial that each stands for.
        others: folders of records that are of no trial of the study.
    """

    source: Path
    records: Mapping[str, Record]
    others: tuple[str, ...] = ()


def match(name: str, trials: Sequence[Trial], source: Path) -> Match:
    """Find the records that stand for trials.

    Args:
        name: of the study.
        trials: of it.
        source: the record's folder.

    Raises:
        InputError: no record, one of another study, records that were edited, or that are of other trainings than the
            study means.
    """
    recorded = read_study_name(source)
    if recorded != name:
        raise InputError(f"{source}: holds the record of the study {recorded}, not of {name}")
    records = read_records(source)
    by_id = {trial.id: trial for trial in trials}
    found: dict[str, Record] = {}
    wrong = []
    fine_tunings = {record.folder: record for record in records if record.entry["kind"] == "finetune"}
    pretrainings = [record for record in records if record.entry["kind"] == "pretrain"]
    for trial in trials:
        if (record := fine_tunings.get(trial.folder)) is not None:
            found[trial.id] = record
            if different := all_differences(record, trial, by_id):
                wrong.append(f"{trial.folder}: was recorded with {some(different, 12)}")
    if wrong:
        listed = some(wrong, separator="\n  ")
        raise InputError(
            f"{source}: {numbered(len(wrong), 'record is of another training', 'records are of other trainings')} than "
            f"this study means; give the record of this one, or delete theirs:\n  {listed}"
        )
    # of several records of one pretraining, the one that most fine-tunings started from
    starts = Counter(record.entry["start"]["model"] for record in found.values() if record.entry["start"])
    for trial in trials:
        if trial.kind == "pretrain":
            same = [record for record in pretrainings if not differences(stage_of(record), trial)]
            if same:
                found[trial.id] = max(same, key=lambda record: starts[record.entry["model"]])
    used = {record.folder for record in found.values()}
    return Match(source, found, tuple(record.folder for record in records if record.folder not in used))


def remarks(match: Match, trials: Sequence[Trial]) -> list[str]:
    """What should be known of a match: how much it is, made where, by which code."""
    records = match.records.values()
    where = dict.fromkeys(str(record.entry.get("processor")) for record in records)
    lines = [f"recorded: {len(records)} of {len(trials)} trials in {match.source} (on {'; '.join(where) or 'none'})"]
    now = {trial.id: trial.parts["code_version"] for trial in trials}
    older = {
        version
        for name, record in match.records.items()
        if (version := record.entry["parts"]["code_version"]) != now[name]
    }
    if older:
        today = some(sorted({now[name] for name in match.records}), 2, ", ")
        lines.append(f"note: recorded with code version {some(sorted(older), 4, ', ')}; today's is {today}")
    if match.others:
        lines.append(f"note: no trials of this study, left alone: {some(match.others, 3, ', ')}")
    return lines


def stage_of(record: Record) -> dict[str, Any]:
    """What was asked for: ``config``, ``parts`` and ``values``, as ``start`` has it of a pretraining."""
    return {"config": record.entry["config"], "parts": record.entry["parts"], "values": record.values}


def all_differences(record: Record, trial: Trial, trials: Mapping[str, Trial], but: Collection[str] = ()) -> list[str]:
    """:func:`differences` of a fine-tuning and of the pretraining that it starts from.

    Args:
        record: of a training.
        trial: of a study.
        trials: all of the study, by id.
        but: options that may differ.
    """
    found = differences(stage_of(record), trial, but)
    start = record.entry.get("start")
    if bool(start) != bool(trial.depends):
        return [*found, f"{'a' if start else 'no'} pretraining"]
    if start:
        before = differences(start, trials[trial.depends[0]], but)
        found += [f"another pretraining ({some(before, 12)})"] if before else []
    return found


def differences(recorded: Mapping[str, Any], trial: Trial, but: Collection[str] = ()) -> list[str]:
    """What makes a recorded training another one than a trial, in words; code aside.

    Args:
        recorded: see :func:`stage_of`.
        trial: of a study.
        but: options that may differ.
    """
    was, now = Path(str(recorded["config"])), Path(trial.config)
    if was.stem != now.stem:
        return [f"the bundle {was.stem}, not {now.stem}"]
    parts = recorded["parts"]
    found = other_data(parts["data"], trial.parts["data"])
    if parts["config"] != trial.parts["config"]:
        shipped = now.parent == shipped_folder() and was.parent.as_posix() == BUNDLES
        if not shipped:  # what a user writes may be another network or loss; of a shipped one, that is code
            return [*found, "another version of its bundle"]
    elif parts["knobs"] == trial.parts["knobs"]:
        return found
    config = read_config(trial.config)
    now_values = {name: config[name] for name in options.options_of(config)} | dict(trial.knobs)
    was_values = {**parts["knobs"], **recorded["values"]}
    if RECIPE in now_values:
        was_values, now_values = ({**values, RECIPE: recipe_in(values)} for values in (was_values, now_values))
    for name in sorted({*compared(now_values)} - {*but}):
        value = now_values[name]
        if is_expression(value):
            found += _other_expression(name, was_values, parts["knobs"], trial.parts["knobs"])
            if name in earlier.MEANT and name not in was_values:
                meaning = recipes.meant(value, str(now_values.get(RECIPE)), now_values.get("dataset_dir"))
                found += [] if meaning is None else _other_value(name, earlier.MEANT, meaning)
        # what the study leaves to its default and the run did not know means what was
        elif name in was_values or name in trial.parts["knobs"]:
            found += _other_value(name, was_values, value)
    return found


def _other_value(name: str, was: Mapping[str, Any], now: Any) -> list[str]:
    """How the values of an option differ."""
    now = _converted(name, now)
    if name in was and (before := _converted(name, was[name])) == now:
        return []
    return [f"{name} {before if name in was else 'unknown'}, not {now}"]


def _other_expression(
    name: str, was: Mapping[str, Any], was_set: Mapping[str, Any], now_set: Mapping[str, Any]
) -> list[str]:
    """How an option differs whose value is known when a training starts: alike are what sets the same, or nothing."""
    if was_set.get(name) == now_set.get(name):
        return []
    return [f"{name} {was.get(name, 'unknown')}, not {now_set.get(name, 'what the bundle computes')}"]


def compared(values: Mapping[str, Any]) -> list[str]:
    """The options whose values tell trainings apart; files and folders do by their content."""
    known = options.table()
    names = [name for name in values if name in known and known[name].changes_result and not known[name].is_path]
    return [name for name in names if not (name == PLAN and names_file(values[name]))]


def _converted(name: str, value: Any) -> Any:
    try:
        return options.convert(name, value)
    except (ValueError, TypeError, OverflowError):
        return value
