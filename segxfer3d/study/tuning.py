"""A search for good settings of one training, such as the learning rate, epochs and weight decay of a pretraining.

What is searched stands in a file (:mod:`segxfer3d.study.search_file`). The folder of a search::

    search.db       Optuna's storage (SQLite)
    search.lock     held by the process that searches
    trials/0000/    a run, as its bundle leaves it
    trials.csv      every trial, the best first
    best.json       the best: value, knobs, folder, command
"""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.files import Lock
from segxfer3d.study import identity, runner
from segxfer3d.study.attempts import Launch, bundle_command
from segxfer3d.study.reading import nearest
from segxfer3d.study.search_file import Search
from segxfer3d.study.states import DONE, state_at_rest
from segxfer3d.study.trials import Trial


@dataclass(frozen=True)
class Tried:
    """A trial of a search.

    Attributes:
        number: from 0.
        knobs: as suggested.
        value: of the metric; None where it failed.
        error: why it failed.
        seconds: it took, where it is done.
    """

    number: int
    knobs: Mapping[str, Any]
    value: float | None
    error: str = ""
    seconds: float | None = None


def search(
    plan: Search,
    folder: Path,
    resources: runner.Resources,
    say: Callable[[str], None],
    trials: int | None = None,
    launch: Launch = bundle_command,
) -> list[Tried]:
    """Run the trials that are lacking, one after another, and write ``trials.csv`` and ``best.json``.

    A trial that was stopped goes on, one that failed counts as tried.

    Args:
        plan: the search.
        folder: of the search.
        resources: what a trial may use.
        say: told of every trial, in a line.
        trials: how many in all; by default the plan's.
        launch: makes the command of a training.

    Returns:
        every trial, the best first, those that failed last.

    Raises:
        InputError: Optuna is not installed; another search's folder; no trial has the metric.
        KeyboardInterrupt: on Ctrl-C, after the training was stopped.
    """
    optuna = _optuna()
    folder = folder.absolute()
    lock = Lock.take(folder / "search.lock")
    if lock is None:
        raise InputError(f"{folder}: a search is running in it; wait for it, or give another folder")
    try:
        url = f"sqlite:///{folder / 'search.db'}"
        try:
            made = optuna.create_study(storage=url, study_name=plan.name, direction=plan.direction, load_if_exists=True)
            names = optuna.get_all_study_names(url)
        except Exception as error:  # Optuna's and SQLAlchemy's own, of which there are many
            raise InputError(f"{folder / 'search.db'}: not a storage of Optuna that can be used ({error})") from error
        known = made.user_attrs.get("identity")
        if known is None and len(names) == 1:
            made.set_user_attr("identity", plan.identity())
        elif known != plan.identity() or made.direction.name.lower() != plan.direction:
            raise InputError(f"{folder}: the folder of another search, or of another code version; give another one")
        while True:
            unfinished = made.get_trials(states=[optuna.trial.TrialState.RUNNING])
            ready = next((trial for trial in unfinished if set(trial.params) == set(plan.space)), None)
            for trial in unfinished:
                if trial is not ready:  # stopped while it was being suggested: nothing was run for it
                    made.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            if ready is None:
                ended = len([trial for trial in made.get_trials() if set(trial.params) == set(plan.space)])
                if ended >= (trials or plan.trials):
                    break
                sampler = optuna.samplers.TPESampler(seed=1000 * plan.seed + ended)
                asked = optuna.load_study(study_name=plan.name, storage=url, sampler=sampler).ask()
                for name, values in plan.space.items():
                    values.suggest(asked, name)
                continue
            _run(made, ready, plan, folder, resources, say, launch)
        sign = 1 if plan.direction == "minimize" else -1
        found = sorted(
            (
                _tried(plan, folder, trial.number, trial.params, trial.value)
                for trial in made.get_trials()
                if set(trial.params) == set(plan.space)
            ),
            key=lambda one: (math.inf if one.value is None else sign * one.value, one.number),
        )
        write(plan, folder, found)
        return found
    finally:
        lock.release()


def _optuna() -> Any:
    """Optuna, with nothing to say of its own.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("a search needs Optuna: pip install 'segxfer3d[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _run(
    made: Any, asked: Any, plan: Search, folder: Path, resources: runner.Resources, say: Callable[[str], None],
    launch: Launch,
) -> None:  # fmt: skip
    """Train with the suggested settings, and tell Optuna what came of it."""
    trial = _trial(plan, asked.number, asked.params)
    state = runner.run([trial], folder, resources, lambda _: None, launch)[trial.id]
    value = _figure(folder / trial.folder / "metrics.jsonl", plan, trial.knobs) if state.name == DONE else None
    if value is None:
        made.tell(asked.number, state=_optuna().trial.TrialState.FAIL)
    else:
        made.tell(asked.number, value)
    one = _tried(plan, folder, asked.number, asked.params, value)
    shown = ", ".join(f"{name} {_short(of_knob)}" for name, of_knob in asked.params.items())
    came = f"{plan.metric} {value:.5g}" if value is not None else f"failed: {one.error.splitlines()[0]}"
    say(f"trial {one.number}: {shown}: {came}")


def _trial(plan: Search, number: int, params: Mapping[str, Any]) -> Trial:
    """The training of a trial, for the runner of studies."""
    quiet = {"progress": False} if "progress" in plan.bundle.knobs else {}
    knobs = {**quiet, **plan.knobs, **params}
    parts = identity.parts(plan.bundle.config, knobs, ())
    return Trial(
        id=f"trial-{number:04d}", kind="pretrain", folder=f"trials/{number:04d}", config=str(plan.bundle.path),
        knobs=knobs, identity=files.digest(parts), parts=parts,
    )  # fmt: skip


def _tried(plan: Search, folder: Path, number: int, params: Mapping[str, Any], value: float | None) -> Tried:
    """A trial, with what its folder says of it."""
    trial = _trial(plan, number, params)
    state = state_at_rest(folder / trial.folder, trial.kind)
    error = state.error
    if value is None and not error:
        error = f"its {plan.metric} was never a finite number" if state.name == DONE else state.name
    return Tried(number, params, value, error, state.seconds)


def _figure(path: Path, plan: Search, knobs: Mapping[str, Any]) -> float | None:
    """The metric of what a run keeps, from its ``metrics.jsonl``; None where that is no finite number.

    Raises:
        InputError: no line has the metric.
    """
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not any(plan.metric in line for line in lines):
        there = sorted({name for line in lines for name in line if name.startswith("validation_")})
        raise InputError(
            f"metric {plan.metric}: {path} has none{nearest(plan.metric, there)}"
            + ("" if there else "; nothing was validated, see validation_fraction and validation_interval")
        )
    values = [float(line[plan.metric]) for line in lines if line.get(plan.metric) is not None]
    if knobs.get("keep", plan.bundle.config.get("keep")) == "last":
        values = values[-1:]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return min(finite) if plan.direction == "minimize" else max(finite)


def write(plan: Search, folder: Path, found: list[Tried]) -> None:
    """Write ``trials.csv`` and, where a trial has a value, ``best.json``.

    Raises:
        InputError: the folder cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", plan.metric, *plan.space, "seconds", "error"])
    for one in found:
        knobs = [one.knobs[name] for name in plan.space]
        writer.writerow([one.number, one.value, *knobs, one.seconds, one.error])
    files.write_text(folder / "trials.csv", text.getvalue())
    if found and found[0].value is not None:
        best = {
            "metric": plan.metric,
            "value": found[0].value,
            "knobs": dict(found[0].knobs),
            "folder": f"trials/{found[0].number:04d}",
            "command": command(plan, found[0]),
        }
        files.write_json(folder / "best.json", best)


def command(plan: Search, one: Tried) -> str:
    """The command line that trains with the settings of a trial."""
    words = ["python", "-m", "monai.bundle", "run", "--config_file", str(plan.bundle.path)]
    for name, value in {**plan.knobs, **one.knobs}.items():
        words += [f"--{name}", "$None" if value is None else str(value)]
    return shlex.join(words)


def table(plan: Search, found: list[Tried]) -> str:
    """The trials for the console, the best first."""
    rows = [["trial", plan.metric, *plan.space, "minutes"]]
    for one in found:
        value = "failed" if one.value is None else f"{one.value:.5g}"
        minutes = "–" if one.seconds is None else f"{one.seconds / 60:.1f}"
        rows.append([str(one.number), value, *(_short(one.knobs[name]) for name in plan.space), minutes])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += [f"trial {one.number} failed: {one.error.splitlines()[0]}" for one in found if one.value is None]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
