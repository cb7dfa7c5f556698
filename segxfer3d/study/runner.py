"""Running the trials of a study: several at a time, each once, whatever fails or is killed in between."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from segxfer3d.config.stopping import SIGNALS, Stopped
from segxfer3d.errors import InputError
from segxfer3d.files import Lock
from segxfer3d.study.attempts import Attempt, Launch, bundle_command, start
from segxfer3d.study.identity import code_version_of
from segxfer3d.study.launching import FRESH, Processes
from segxfer3d.study.restoring import compare_again, compare_all_again
from segxfer3d.study.same_data import MADE_FROM, OTHER, Seen, compare, refuse_other_data
from segxfer3d.study.slots import Slots
from segxfer3d.study.states import BAD, DAMAGED, DONE, RUNNING, WAITING, State, blocked, state_at_rest, states
from segxfer3d.study.trials import Trial, lost

STUDY_LOCK = "study.lock"
_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass
class Resources:
    """What trainings may use.

    Attributes:
        jobs: trainings at a time.
        threads: of each (``OMP_NUM_THREADS``).
        slots: of GPUs; a trial whose knob ``device`` is ``cpu`` takes none.
    """

    jobs: int = 1
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    slots: Slots = field(default_factory=lambda: Slots([]))

    def environment(self) -> dict[str, str]:
        """Of every training; one that finds no GPU among its own is not to take another's."""
        threads = str(self.threads)
        return {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}


@contextmanager
def study_lock(folder: Path, shared: bool = False) -> Iterator[None]:
    """Keep other studies out of a folder.

    Args:
        folder: the study's; made where missing.
        shared: single trials run side by side, started by something else than :func:`run`.

    Raises:
        InputError: it is held, or cannot be written.
    """
    lock = Lock.take(folder / STUDY_LOCK, shared)
    if lock is None:
        raise InputError(f"{folder}: another study is being run in it; wait for it, or give another folder")
    try:
        yield
    finally:
        lock.release()


def run(
    trials: Sequence[Trial],
    folder: Path,
    resources: Resources,
    say: Callable[[str], None],
    launch: Launch = bundle_command,
    only: Collection[str] | None = None,
    processes: Processes = FRESH,
) -> dict[str, State]:
    """Run what is not done; the caller holds :func:`study_lock`.

    Trials that failed before are tried again, going on from their last state. A failure stops nothing but the trials
    that need what failed.

    Args:
        trials: of the study, those that others depend on first.
        folder: the study's.
        resources: what may be used.
        say: told of every start and end, in a line.
        launch: makes the command of a trial.
        only: ids of those to run; None for all.
        processes: how trainings are started.

    Returns:
        how every trial stands at the end, by id.

    Raises:
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP, after the trainings were stopped.
    """
    return _Run(trials, folder.absolute(), resources, say, launch, only, processes).run()


def run_one(
    trial_id: str,
    trials: Sequence[Trial],
    folder: Path,
    resources: Resources,
    launch: Launch = bundle_command,
    say: Callable[[str], None] = lambda _: None,
) -> State:
    """Run a single trial to its end; nothing where it is done.

    Args:
        trial_id: of which.
        trials: of the study.
        folder: the study's.
        resources: what may be used.
        launch: makes the command.
        say: told where the trial's folder is gone, so that it starts over.

    Raises:
        InputError: no such trial, what it needs is not done, or some of the study were made from other data.
    """
    by_id = {trial.id: trial for trial in trials}
    if trial_id not in by_id:
        raise InputError(f"{folder}: no trial {trial_id!r}; `segxfer3d study status` lists them")
    standing = states(folder, trials)
    if lacking := [name for name in by_id[trial_id].depends if standing[name].name != DONE]:
        raise InputError(f"trial {trial_id}: needs {lacking[0]}, which is {standing[lacking[0]].name}")
    if standing[trial_id].name != DONE and (bare := [n for n in by_id[trial_id].depends if standing[n].recorded]):
        raise InputError(f"trial {trial_id}: needs the weights of {bare[0]}, which is recorded without; prepare anew")
    refuse_other_data(trials, folder)
    version, now = by_id[trial_id].parts["code_version"], code_version_of(by_id[trial_id].config)
    if version != now:
        raise InputError(f"trial {trial_id}: was planned with code version {version}, not {now}")
    for line in lost([by_id[trial_id]], folder):
        say(line)  # what else happens, the caller says
    return run(trials, folder, resources, lambda _: None, launch, [trial_id])[trial_id]


class _Run:
    """The loop of :func:`run`."""

    def __init__(
        self,
        trials: Sequence[Trial],
        folder: Path,
        resources: Resources,
        say: Callable[[str], None],
        launch: Launch,
        only: Collection[str] | None,
        processes: Processes,
    ) -> None:
        self.trials = {trial.id: trial for trial in trials}
        self.folder = folder
        self.resources = resources
        self.say = say
        self.launch = launch
        self.processes = processes
        self.standing = states(folder, trials)
        wanted = [trial for trial in trials if only is None or trial.id in only]
        self.pending = [trial for trial in wanted if self.standing[trial.id].name not in (DONE, DAMAGED)]
        # what failed or was blocked before gets another chance
        for trial in self.pending:
            self.standing[trial.id] = State(WAITING)
        self.active: list[Attempt] = []
        self.seen = Seen()
        self.compared: set[str] = set()
        for trial in trials:
            compare(self.seen, trial, folder)

    def run(self) -> dict[str, State]:
        """Until nothing is left to do."""
        for line in compare_all_again(self.folder, list(self.trials.values()), self.standing):
            self.say(line)
        with _interruptible():
            try:
                while self.pending or self.active:
                    self._compare()
                    self._reap()
                    self._start()
                    if self.active:
                        time.sleep(_SECONDS_BETWEEN_LOOKS)
            except BaseException:
                for attempt in self.active:
                    attempt.stop()
                raise
        return self.standing

    def _compare(self) -> None:
        """Stop a training, once it has read its data, that is made from others than those before it."""
        for attempt in list(self.active):
            trial, ended = attempt.trial, attempt.ended()
            began = attempt.process is not None and (self.folder / trial.folder / MADE_FROM).is_file()
            if not began or (trial.id in self.compared and not ended):
                continue
            self.compared.add(trial.id)
            if ended and state_at_rest(attempt.folder, trial.kind).name != DONE:
                continue  # its own error says more
            if words := compare(self.seen, trial, self.folder):
                self.active.remove(attempt)
                self._note(trial, attempt.fail(f"{OTHER}: {words}; bring the data back, and delete {attempt.folder}"))

    def _reap(self) -> None:
        for attempt in [attempt for attempt in self.active if attempt.ended()]:
            self.active.remove(attempt)
            state = attempt.finish()
            if attempt.process is None and state.name not in (DONE, DAMAGED):
                self.pending.insert(0, attempt.trial)  # whoever ran it did not finish: go on with it
            else:
                self._note(attempt.trial, state)

    def _note(self, trial: Trial, state: State) -> None:
        self.standing[trial.id] = state
        count = f"[{sum(s.name == DONE or s.name in BAD for s in self.standing.values())}/{len(self.standing)}]"
        if state.name == DONE:
            self.say(f"{count} {trial.id}: done in {state.seconds or 0:.0f} s")
            if said := compare_again(self.folder / trial.folder):
                self.say(f"{trial.id}: {said}")
        else:
            self.say(f"{count} {trial.id}: {state.name}: {state.error.splitlines()[0] if state.error else ''}")

    def _start(self) -> None:
        for trial in list(self.pending):
            if state := blocked(trial, self.standing):
                self.pending.remove(trial)
                self._note(trial, state)
            elif len(self.active) >= self.resources.jobs:
                continue
            elif all(self.standing[name].name == DONE for name in trial.depends):
                self._try(trial)

    def _try(self, trial: Trial) -> None:
        slots = self.resources.slots
        slot = None
        if slots.gpus and trial.knobs.get("device") != "cpu":
            slot = slots.take()
            if slot is None:
                if not self.active:
                    time.sleep(_SECONDS_BETWEEN_LOOKS)  # another study has them all
                return
        self.pending.remove(trial)
        resumed = (self.folder / trial.folder / "run.json").exists()
        for line in lost([trial], self.folder):
            self.say(line)
        attempt = start(
            trial, self.folder, self.trials, self.launch, self.resources.environment(), slot, self.processes
        )
        if isinstance(attempt, State):
            self._note(trial, attempt)
            return
        self.active.append(attempt)
        self.standing[trial.id] = State(RUNNING)
        if attempt.process is None:
            self.say(f"{trial.id}: still running from an earlier start, waiting for it")
        else:
            self.say(f"{trial.id}: {'goes on' if resumed else 'started'}{f' on GPU {slot.gpu}' if slot else ''}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP stop as Ctrl-C does, unless they are ignored; only a process's main thread can say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    asked = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # as nohup has it
    before = {number: signal.signal(number, interrupt) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def counts(standing: Mapping[str, State]) -> dict[str, int]:
    """How many trials stand how, in the order of the states' list."""
    names = [state.shown for state in standing.values()]
    return {name: names.count(name) for name in dict.fromkeys(names)}
