"""How the trials of a study stand, read from their folders alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segxfer3d import documents
from segxfer3d.errors import InputError, reason
from segxfer3d.files import held
from segxfer3d.spreadsheets import plain_csv
from segxfer3d.study.trials import MODEL, Trial

DONE, RUNNING, STOPPED, FAILED, DAMAGED, BLOCKED, WAITING = (
    "done", "running", "stopped", "failed", "damaged", "blocked", "waiting",
)  # fmt: skip
BAD = (FAILED, DAMAGED, BLOCKED)
LOCK = "trial.lock"
RECORDED = "recorded.json"


@dataclass(frozen=True)
class State:
    """How a trial stands.

    Attributes:
        name: ``done``; ``running`` (a process holds its lock); ``stopped`` (it began, and goes on when the study is
            started again); ``failed``; ``damaged`` (it is done, but what it left cannot be read); ``blocked`` (what it
            needs is bad); ``waiting``.
        error: why, of the bad ones.
        seconds: how long it took, of those that are done.
        recorded: it is done by a record, not here (:mod:`segxfer3d.study.restoring`).
    """

    name: str
    error: str = ""
    seconds: float | None = None
    recorded: bool = False

    @property
    def shown(self) -> str:
        """Its name, or that it is recorded."""
        return "recorded" if self.recorded else self.name


def states(root: Path, trials: Sequence[Trial]) -> dict[str, State]:
    """How all trials stand, by id."""
    standing: dict[str, State] = {}
    for trial in trials:  # what a trial needs comes before it
        state = state_of(root / trial.folder, trial.kind)
        standing[trial.id] = blocked(trial, standing) or state if state.name in (WAITING, STOPPED) else state
    return standing


def blocked(trial: Trial, standing: dict[str, State]) -> State | None:
    """The state of a trial whose dependencies are bad; None where they are not."""
    bad = [name for name in trial.depends if standing[name].name in BAD]
    return State(BLOCKED, f"needs {bad[0]}, which {_is(standing[bad[0]])}") if bad else None


def _is(state: State) -> str:
    return state.name if state.name == FAILED else f"is {state.name}"


def state_of(folder: Path, kind: str) -> State:
    """How one trial stands, dependencies aside.

    Args:
        folder: the trial's.
        kind: ``pretrain`` or ``finetune``.
    """
    return State(RUNNING) if held(folder / LOCK) else state_at_rest(folder, kind)


def state_at_rest(folder: Path, kind: str) -> State:
    """How a trial stands that nobody runs."""
    if (folder / "done.json").exists():
        return _finished(folder, kind)
    if (folder / "failed.json").exists():
        try:
            return State(FAILED, documents.own(folder / "failed.json")["error"])
        except InputError:
            return State(FAILED, f"{folder / 'failed.json'} cannot be read; {folder / 'output.txt'} may say why")
    return State(STOPPED if (folder / "run.json").exists() else WAITING)


def _finished(folder: Path, kind: str) -> State:
    """Done, unless a file that the report reads is damaged."""
    path = folder / MODEL
    try:
        seconds = float(documents.own(folder / "done.json")["seconds"])
        documents.own(folder / "run.json")
        documents.lines(folder / "metrics.jsonl")
        recorded = (folder / RECORDED).is_file()
        if kind == "pretrain" and not recorded:
            path = folder / MODEL
            if path.stat().st_size == 0:
                raise ValueError("it is empty")
        elif kind != "pretrain":
            path = folder / "cases.csv"
            row = next(csv.DictReader(plain_csv(path.read_text(encoding="utf-8")).splitlines()), None)
            if row is None or not {"case", "patient"} <= row.keys():
                raise ValueError("no row with case and patient")
    except InputError as error:
        return State(DAMAGED, f"{error}; delete {folder} to have this trial run again")
    except (OSError, ValueError, csv.Error) as error:
        why = reason(error) if isinstance(error, OSError) else error
        return State(DAMAGED, f"{path}: damaged ({why}); delete {folder} to have this trial run again")
    return State(DONE, seconds=seconds, recorded=recorded)
