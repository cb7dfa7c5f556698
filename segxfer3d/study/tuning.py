"""A search for good settings of one training, such as the learning rate, epochs and weight decay of a pretraining.

What is searched stands in a file (:mod:`segxfer3d.study.search_file`). The folder of a search::

    search.db       Optuna's storage (SQLite)
    precision.json  what its trainings compute in, where the search does not say (segxfer3d.study.precision)
    search.lock     held by the process that searches
    trials/0000/    a run, as its bundle leaves it
    trials.csv      every trial, the best first
    best.json       the best: value, knobs, folder, command
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.config import earlier
from segxfer3d.errors import InputError, installed_with
from segxfer3d.files import Lock
from segxfer3d.schema.kinds import FIGURE, Entries, optional
from segxfer3d.study import identity, precision, runner
from segxfer3d.study.attempts import Launch, bundle_command
from segxfer3d.study.documents import nearest
from segxfer3d.study.launching import FRESH, Processes
from segxfer3d.study.room import is_full
from segxfer3d.study.same_data import OTHER, refuse_other_data
from segxfer3d.study.search_file import Search
from segxfer3d.study.search_results import Tried, sentence, write
from segxfer3d.study.states import DONE, state_at_rest
from segxfer3d.study.trials import Trial, lost, refuse_links

STORAGE = "search.db"
METRICS = "metrics.jsonl"


def search(
    plan: Search,
    folder: Path,
    resources: runner.Resources,
    say: Callable[[str], None],
    trials: int | None = None,
    launch: Launch = bundle_command,
    processes: Processes = FRESH,
) -> list[Tried]:
    """Run the trials that are lacking, one after another, and write ``trials.csv`` and ``best.json``.

    A trial that was stopped goes on, one that failed counts as tried, unless its disk was full: then the search ends,
    and goes on with that trial.

    Args:
        plan: the search.
        folder: of the search.
        resources: what a trial may use.
        say: told of every trial, in a line.
        trials: how many in all; by default the plan's.
        launch: makes the command of a training.
        processes: how trainings are started.

    Returns:
        every trial, the best first, those that failed last.

    Raises:
        InputError: Optuna is not installed; another search's folder; no trial has the metric; the disk is full; a trial
            is made from other data than those before it.
        KeyboardInterrupt: on Ctrl-C, after the training was stopped.
    """
    optuna = _optuna()
    folder = folder.absolute()
    lock = Lock.take(folder / "search.lock")
    if lock is None:
        raise InputError(f"{folder}: a search is running in it; wait for it, or give another folder")
    try:
        plan = precision.of_search(plan, folder, resources.environment())
        storage = _opened(optuna, plan, folder)
        for each in _suggested(storage, plan):
            place = folder / _trial(plan, each.number, each.params).folder
            if each.value is not None and not place.exists():
                say(f"trial {each.number}: its folder {place} is gone; what it came to is still in {STORAGE}")
        while True:
            with _stored(folder):
                asked = _next(optuna, storage, plan, folder, trials or plan.trials)
            if asked is None:
                break
            trial = _trial(plan, asked.number, asked.params)
            known = [_trial(plan, each.number, each.params) for each in _suggested(storage, plan)]
            refuse_links(known, folder)
            refuse_other_data(known, folder)
            for line in lost([trial], folder):
                say(line)
            state = runner.run(known, folder, resources, lambda _: None, launch, [trial.id], processes)[trial.id]
            if state.error.startswith(OTHER):
                raise InputError(f"trial {asked.number}: {state.error}; then the same command goes on with it")
            if state.name != DONE and is_full(folder, state.error):
                raise InputError(
                    f"trial {asked.number}: {folder / trial.folder} has no room ({state.error}); with more, the same "
                    "command goes on with it"
                )
            value = _figure(folder / trial.folder / METRICS, plan, trial.knobs) if state.name == DONE else None
            with _stored(folder):
                storage.tell(asked.number, value, None if value is not None else optuna.trial.TrialState.FAIL)
            say(sentence(plan, _tried(plan, folder, asked.number, asked.params, value)))
        sign = 1 if plan.direction == "minimize" else -1
        tried = sorted(
            (_tried(plan, folder, trial.number, trial.params, trial.value) for trial in _suggested(storage, plan)),
            key=lambda trial: (math.inf if trial.value is None else sign * trial.value, trial.number),
        )
        write(plan, folder, tried)
        return tried
    finally:
        lock.release()


@contextmanager
def _stored(folder: Path) -> Iterator[None]:
    """What goes wrong with the storage, in a short error; Optuna and SQLAlchemy have many kinds.

    Raises:
        InputError: it could not be read or written.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        said = " ".join((str(cause).splitlines() or [type(cause).__name__])[0].split())
        raise InputError(f"{folder / STORAGE} could not be read or written ({said})") from error


def _opened(optuna: Any, plan: Search, folder: Path) -> Any:
    """Optuna's study in the search's folder.

    Raises:
        InputError: it is another search's, or damaged.
    """
    url = _url(folder)
    try:
        storage = optuna.create_study(storage=url, study_name=plan.name, direction=plan.direction, load_if_exists=True)
        names = optuna.get_all_study_names(url)
    except Exception as error:  # Optuna's and SQLAlchemy's own, of which there are many
        raise InputError(f"{folder / STORAGE}: not a storage of Optuna that can be used ({error})") from error
    known = storage.user_attrs.get("identity")
    if known is None and len(names) == 1:
        storage.set_user_attr("identity", plan.identity())
    elif known != plan.identity() or storage.direction.name.lower() != plan.direction:
        raise InputError(
            f"{folder}: the folder of another search, of other data, or of another code version; give another one"
        )
    return storage


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / STORAGE}"


def _suggested(storage: Any, plan: Search) -> list[Any]:
    """Optuna's trials that have a value for every knob; one that was stopped before that was never run."""
    return [trial for trial in storage.get_trials() if set(trial.params) == set(plan.space)]


def _next(optuna: Any, storage: Any, plan: Search, folder: Path, trials: int) -> Any:
    """The trial to run: one that was stopped, else a new one; None where there are as many as wanted."""
    while True:
        unfinished = storage.get_trials(states=[optuna.trial.TrialState.RUNNING])
        ready = next((trial for trial in unfinished if set(trial.params) == set(plan.space)), None)
        for trial in unfinished:
            if trial is not ready:  # stopped while it was being suggested: nothing was run for it
                storage.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if ready is not None:
            return ready
        ended = len(_suggested(storage, plan))
        if ended >= trials:
            return None
        sampler = optuna.samplers.TPESampler(seed=1000 * plan.seed + ended)
        asked = optuna.load_study(study_name=plan.name, storage=_url(folder), sampler=sampler).ask()
        for name, values in plan.space.items():
            values.suggest(asked, name)


def _optuna() -> Any:
    """Optuna, with nothing to say of its own.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError(f"a search needs Optuna: {installed_with('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _trial(plan: Search, number: int, params: Mapping[str, Any]) -> Trial:
    """The training of a trial, for the runner of studies."""
    quiet = {"progress": False} if "progress" in plan.bundle.knobs else {}
    knobs = {**quiet, **plan.knobs, **params}
    parts = identity.parts(plan.bundle, knobs, ())
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

    Where it was not measured in the epoch that is kept, it is that of the last epoch before which has it.

    Raises:
        InputError: no line has the metric.
    """
    judge, larger = _criterion(plan)
    lines = documents.lines(path, Entries({}, {plan.metric: optional(FIGURE), judge: optional(FIGURE)}))
    if not any(plan.metric in line for line in lines):
        there = sorted({name for line in lines for name in line if name.startswith("validation_")})
        raise InputError(
            f"metric {plan.metric}: {path} has none{nearest(plan.metric, there)}"
            + ("" if there else "; nothing was validated, see validation_fraction and validation_interval")
        )
    keep = earlier.knobs_of(str(path.parent)).get("keep") or knobs.get("keep", plan.bundle.config.get("keep"))
    judged = [number for number, line in enumerate(lines) if math.isfinite(_number(line, judge))]
    if keep != "last" and judged:
        best = (max if larger else min)(judged, key=lambda number: _number(lines[number], judge))  # of equals the first
        lines = lines[: best + 1]
    values = [_number(line, plan.metric) for line in lines if line.get(plan.metric) is not None]
    return values[-1] if values and math.isfinite(values[-1]) else None


def _criterion(plan: Search) -> tuple[str, bool]:
    """What a training of the bundle is judged by, as ``metrics.jsonl`` calls it, and whether more of it is better.

    See :class:`~segxfer3d.training.resume.TrainingState`.
    """
    state = plan.bundle.config.get("state")
    arguments = state if isinstance(state, dict) else {}
    return f"validation_{arguments.get('metric', 'dice')}", bool(arguments.get("larger_is_better", True))


def _number(line: Mapping[str, Any], name: str) -> float:
    return float("nan") if line.get(name) is None else float(line[name])
