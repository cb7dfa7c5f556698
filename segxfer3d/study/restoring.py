"""Records in the place of trials: what is recorded counts as done, and what is still needed of it is made again.

A recorded trial's folder holds the files of its run as the record has them, and ``recorded.json`` (the record's
``record.json``). Of a pretraining the record has no weights: where fine-tunings still need them, it is trained again
from its seed. ``again.json`` then says with what its weights are compared, and, once it has ended, what came out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.errors import InputError
from segxfer3d.study.matching import Match
from segxfer3d.study.records import DONE_FILE, RUN, Record, weights_hash
from segxfer3d.study.states import DONE, FAILED, RECORDED, WAITING, State, state_of, states
from segxfer3d.study.trials import MODEL, TRIAL_FILE, Trial

AGAIN = "again.json"
_ABOUT = ("processor", "threads", "gpu", "torch")


def standing_with(folder: Path, trials: Sequence[Trial], match: Match) -> dict[str, State]:
    """How the trials of a study's folder will stand once the records are in their place."""
    after = states(folder, trials)
    for trial in trials:
        if trial.id in match.records and _is_free(folder / trial.folder, trial):
            after[trial.id] = State(DONE, seconds=match.records[trial.id].seconds, recorded=True)
    for trial in _needed(trials, after):
        after[trial.id] = State(WAITING)
    return after


def restore(folder: Path, trials: Sequence[Trial], match: Match) -> None:
    """Put records in the place of trials that have not begun; the caller holds the study's lock.

    A trial that began is left alone: it goes on where it is.

    Raises:
        InputError: a file cannot be written.
    """
    for trial in trials:
        if trial.id in match.records and _is_free(folder / trial.folder, trial):
            _place(folder / trial.folder, trial, match.records[trial.id])
    make_needed_again(folder, trials)


def _is_free(folder: Path, trial: Trial) -> bool:
    """Whether a trial has not begun, so that its record can take its place."""
    began = (folder / RUN).exists() or (folder / AGAIN).exists()
    return not began and state_of(folder, trial.kind).name in (WAITING, FAILED)


def make_needed_again(folder: Path, trials: Sequence[Trial]) -> None:
    """Let pretrainings be trained again that are recorded without weights and that a fine-tuning still needs.

    Raises:
        InputError: a file cannot be written.
    """
    standing = {trial.id: state_of(folder / trial.folder, trial.kind) for trial in trials}
    for trial in _needed(trials, standing):
        place = folder / trial.folder
        record = documents.own(place / RECORDED)
        shutil.rmtree(place)  # copies of the record, nothing else
        files.make_folder(place)
        files.write_json(place / AGAIN, {"record": record})


def compare_again(folder: Path) -> str:
    """Compare the weights of a pretraining that was made again with the record's; what came out, in words.

    Args:
        folder: of the pretraining, which is done.

    Returns:
        a sentence; empty where nothing is to be compared, or was compared before.

    Raises:
        InputError: the result cannot be written.
    """
    path = folder / AGAIN
    if not path.is_file():
        return ""
    content = documents.own(path)
    if "same" in content:
        return ""
    versions = documents.own(folder / RUN).get("versions", {})
    try:
        model = weights_hash(folder / MODEL)
    except InputError as error:
        return f"made again from its seed, but not compared with the record: {error}"
    content |= {"same": model == content["record"]["model"], "model": model}
    content |= {name: versions.get(name) for name in _ABOUT}
    content["parts"] = documents.own(folder / TRIAL_FILE)["parts"]
    files.write_json(path, content)
    return outcome(content)


def compare_all_again(folder: Path, trials: Sequence[Trial], standing: Mapping[str, State]) -> list[str]:
    """:func:`compare_again` of all pretrainings that are done: one may have ended while nobody waited for it.

    Args:
        folder: of the study.
        trials: of it.
        standing: how they stand, by id.

    Returns:
        for each that was compared now its id and what came out.
    """
    said = []
    for trial in trials:
        if trial.kind == "pretrain" and standing[trial.id].name == DONE:
            try:
                words = compare_again(folder / trial.folder)
            except InputError as error:  # the folder may be one to read alone; what is asked for needs no comparison
                words = f"not compared with the record: {error}"
            said += [f"{trial.id}: {words}"] if words else []
    return said


def outcome(again: Mapping[str, Any]) -> str:
    """What ``again.json`` says, as a sentence; empty while the pretraining is not done."""
    if "same" not in again:
        return ""
    record = again["record"]
    if again["same"]:
        return "made again from its seed: the weights are those of the record, bit for bit"
    about = {name: (record.get(name), again.get(name)) for name in _ABOUT}
    about["code version"] = (record["parts"]["code_version"], again["parts"]["code_version"])
    changed = {name: values for name, values in about.items() if values[0] != values[1]}
    was, now = (", ".join(f"{name} {values[side]}" for name, values in changed.items()) for side in (0, 1))
    where = f"recorded with {was}; here {now}" if changed else "though processor, threads, torch and code are the same"
    return f"made again from its seed: the weights differ from the record's ({where})"


def _needed(trials: Sequence[Trial], standing: Mapping[str, State]) -> Iterable[Trial]:
    """Recorded pretrainings that a trial needs which is not done."""
    open_trials = [trial for trial in trials if standing[trial.id].name != DONE]
    needed = {name for trial in open_trials for name in trial.depends}
    return [trial for trial in trials if trial.id in needed and standing[trial.id].recorded]


def _place(folder: Path, trial: Trial, record: Record) -> None:
    """Write a trial's folder as its record has it; what says that it is done comes last."""
    files.make_folder(folder)
    (folder / "failed.json").unlink(missing_ok=True)
    files.write_json(folder / TRIAL_FILE, trial.as_dict())
    for name in sorted(record.texts, key=lambda name: (name == DONE_FILE, name == RUN)):
        if name == RUN:
            files.write_json(folder / RECORDED, record.entry)
        files.write_bytes(folder / name, record.texts[name].encode("utf-8"))
