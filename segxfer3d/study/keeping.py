"""Keeping what a study's trials left as a record (:mod:`segxfer3d.study.records`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.errors import InputError, some
from segxfer3d.schema.kinds import ANYTHING
from segxfer3d.schema.own_files import OF_A_RUN
from segxfer3d.study.machine_paths import Cleaner, absolute_paths, bundle_folders
from segxfer3d.study.matching import compared
from segxfer3d.study.mixing import other_options, refuse_other_options
from segxfer3d.study.records import (
    FORMAT,
    RUN,
    STAGES,
    TABLES,
    Record,
    content_hash,
    document,
    hash_of,
    is_record,
    read_records,
    read_study_name,
    weights_hash,
    write_record,
)
from segxfer3d.study.restoring import AGAIN, compare_all_again
from segxfer3d.study.same_data import MADE_FROM, differing, in_short
from segxfer3d.study.states import DONE, RECORDED, states
from segxfer3d.study.trials import MODEL, STUDY_FILE, TRIAL_FILE, Trial, read_trials

_HARDWARE = ("processor", "threads", "gpu", "torch")  # of the versions in run.json
_OF_THE_STUDY = (TRIAL_FILE, RECORDED, AGAIN, "failed.json")  # not what the run says


@dataclass(frozen=True)
class Kept:
    """What is kept.

    Attributes:
        new: trials whose record was written now.
        there: trials that were recorded before.
        lacking: trials of the study that are not done.
        size: of the whole record, in bytes.
        left: records that are there of what is no trial of the study any more.
        others: trials that were made from other data than those before them, each with what is another.
        mixed: records with other options than those before them of the same arm, each with what is another.
        again: pretrainings that were made again for an earlier record and compared with it only now.
    """

    new: int
    there: int
    lacking: int
    size: int
    left: list[str]
    others: list[str]
    mixed: list[str]
    again: list[str]

    def sentence(self) -> str:
        """How many, in words, behind lines on others, on what is left, and on what was made again."""
        warning = (
            f"warning: made from other data, so they do not compare: {some(self.others, 5)}\n" if self.others else ""
        )
        if self.mixed:
            warning += f"warning: trained with other options, so they do not compare: {some(self.mixed, 5)}\n"
        if self.left:
            warning += (
                f"note: {len(self.left)} in the record are of no trial of the study any more: {some(self.left, 5)}\n"
            )
        lacking = f"; {self.lacking} trials are not done" if self.lacking else ""
        warning += "".join(f"{line}\n" for line in self.again)
        return f"{warning}{self.new} trials recorded, {self.there} were{lacking}"


def keep(folder: Path, target: Path) -> Kept:
    """Write the record of the trials of a study that are done, beside those that are in ``target`` already.

    Args:
        folder: the study's.
        target: the record's; made where missing.

    Raises:
        InputError: no study's folder, no trial that is done, a target with the record of another study, with another
            record of a trial, or with trainings of other options; nothing is written then.
    """
    trials = read_trials(folder)
    study = documents.own(folder / STUDY_FILE)
    before = _before(target, study["name"])
    standing = states(folder, trials)
    done = [trial for trial in trials if standing[trial.id].name == DONE]
    if not done:
        raise InputError(f"{folder}: no trial is done, nothing to keep")
    by_id = {trial.id: trial for trial in trials}
    bundles = bundle_folders(study, [trial.config for trial in trials])
    records = [_record(folder, trial, by_id, bundles) for trial in done]
    new = [record for record in records if record.folder not in before]
    # weights that were made again elsewhere change no record; figures that came out otherwise would
    changed = [
        record.folder
        for record in records
        if before.get(record.folder, record).texts.get("cases.csv") != record.texts.get("cases.csv")
    ]
    if changed:
        raise InputError(
            f"{target}: holds other results of {some(changed, 3)}; delete these there, or keep the study elsewhere"
        )
    refuse_other_options(target, before, trials, {trial.id for trial in done}, bundles)
    named = [*absolute_paths(study.get("parameters", {})), str(study.get("study_file", ""))]
    files.make_folder(target)
    for record in new:
        write_record(target, record)
    files.write_json(target / STUDY_FILE, Cleaner(folder, named, bundles).value(study))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    left = [place for place in before if place not in {trial.folder for trial in trials}]
    mixed = other_options([*before.values(), *new], study)
    again = compare_all_again(folder, trials, standing)
    lacking, others = len(trials) - len(done), differing(done, folder)
    return Kept(len(new), len(records) - len(new), lacking, size, left, others, mixed, again)


def _before(target: Path, study: str) -> dict[str, Record]:
    """The records that are there, by folder.

    Raises:
        InputError: something else is there, the record of another study, or one that was edited.
    """
    if not target.exists():
        return {}
    if not target.is_dir():
        raise InputError(f"{target}: expected a folder, found a file")
    # without study.json, the writing of a record was stopped
    if not is_record(target) and not {path.name for path in target.iterdir()} <= set(STAGES):
        raise InputError(f"{target}: holds something else than a record; expected one, or a new or empty folder")
    if is_record(target) and (name := read_study_name(target)) != study:
        raise InputError(f"{target}: holds the record of the study {name}, not of {study}")
    return {record.folder: record for record in read_records(target)}


def _record(root: Path, trial: Trial, trials: Mapping[str, Trial], bundles: Collection[str]) -> Record:
    """The record of a trial that is done.

    Raises:
        InputError: a file of its run cannot be read.
    """
    folder = root / trial.folder
    run = documents.own(folder / RUN)
    clean = Cleaner(root, [*absolute_paths(run.get("knobs", {})), trial.config], bundles)
    texts = {name: (folder / name).read_bytes().decode("utf-8") for name in TABLES if (folder / name).is_file()}
    for path in sorted(folder.glob("*.json")):
        if path.name not in _OF_THE_STUDY:
            content = documents.read(path, OF_A_RUN.get(path.name, ANYTHING))
            texts[path.name] = document(clean.value(_SHORTER.get(path.name, dict)(content)))
    if (folder / RECORDED).is_file():
        return Record(documents.own(folder / RECORDED), texts)
    versions = run.get("versions", {})
    plain = json.loads(json.dumps(trial.as_dict(), default=str))
    entry: dict[str, Any] = {
        "format": FORMAT,
        **{name: value for name, value in plain.items() if name != "knobs"},
        "config": clean.text(trial.config),
        "start": _start(root, trials[trial.depends[0]], bundles) if trial.depends else None,
        "model": weights_hash(folder / MODEL) if (folder / MODEL).is_file() else None,
        **{name: versions.get(name) for name in _HARDWARE},
        "files": {name: content_hash(text) for name, text in sorted(texts.items())},
    }
    return Record({**entry, "hash": hash_of(entry)}, texts)


def _start(root: Path, pretraining: Trial, bundles: Collection[str]) -> dict[str, Any]:
    """What a fine-tuning starts from, with which it is known again."""
    folder = root / pretraining.folder
    knobs = documents.own(folder / RUN).get("knobs", {})
    clean = Cleaner(root, [pretraining.config], bundles)
    return {
        "config": clean.text(pretraining.config),
        "identity": pretraining.identity,
        "parts": json.loads(json.dumps(pretraining.parts, default=str)),
        "values": {name: knobs[name] for name in compared(knobs)},
        "model": weights_hash(folder / MODEL),
    }


def _without_command(run: Mapping[str, Any]) -> dict[str, Any]:
    """``run.json`` without what says the same again with paths of the machine."""
    return {key: value for key, value in run.items() if key not in ("command", "overrides")}


_SHORTER = {RUN: _without_command, MADE_FROM: in_short}
