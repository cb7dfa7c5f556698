"""One training of a trial: the process that runs it, the locks that it holds, and what is kept of its failure."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.files import Lock, held
from segxfer3d.study.launching import FRESH, PYTHON, LostError, Process, Processes, signal_group
from segxfer3d.study.slots import Slot
from segxfer3d.study.states import DAMAGED, DONE, FAILED, LOCK, RECORDED, State, state_at_rest
from segxfer3d.study.trials import STARTED, TRIAL_FILE, Trial

OUTPUT = "output.txt"
SECONDS_TO_STOP = 10.0
_TAIL = 20_000  # bytes of the output that an error is looked for in
_LINES = 5

# (the trial, its knobs with all paths) -> the command that trains
Launch = Callable[[Trial, Mapping[str, Any]], list[str]]


def bundle_command(trial: Trial, knobs: Mapping[str, Any]) -> list[str]:
    """``python -m monai.bundle run`` of the trial's bundle with its knobs."""
    words = [*PYTHON, "monai.bundle", "run", "--config_file", trial.config]
    return words + [f"--{name}={'$None' if value is None else value}" for name, value in knobs.items()]


class Attempt:
    """A trial that is being run, by this process or (``process`` is None) by one that was started before it."""

    def __init__(self, trial: Trial, folder: Path, process: Process | None = None) -> None:
        self.trial = trial
        self.folder = folder
        self.process = process
        self.started = time.monotonic()
        self.lock: Lock | None = None
        self.slot: Slot | None = None

    def ended(self) -> bool:
        """Whether it is over."""
        if self.process is not None:
            try:
                return self.process.poll() is not None
            except LostError:
                self.release()  # from here on, it is as one that was started before this process
                self.process = None
        return not held(self.folder / LOCK)

    def finish(self) -> State:
        """How the trial stands now that it is over; a failure is written down."""
        if self.process is None:
            return state_at_rest(self.folder, self.trial.kind)
        code = self.process.wait()
        state = state_at_rest(self.folder, self.trial.kind)
        if state.name not in (DONE, DAMAGED):
            state = record_failure(
                self.folder, explain(self.folder / OUTPUT, code), code, time.monotonic() - self.started
            )
        self.release()
        return state

    def stop(self) -> None:
        """End its process and those that it started; it goes on from its last state when it is started again."""
        if self.process is not None:
            signal_group(self.process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired, LostError):
                self.process.wait(SECONDS_TO_STOP)
            signal_group(self.process, signal.SIGKILL)
            with suppress(LostError):
                self.process.wait()
        self.release()

    def fail(self, why: str) -> State:
        """Stop it for a reason that is written down; what is done stays done."""
        if not self.ended():
            self.stop()
        self.release()
        if state_at_rest(self.folder, self.trial.kind).name == DONE:
            return State(FAILED, why)
        return record_failure(self.folder, why, None, time.monotonic() - self.started)

    def release(self) -> None:
        """Let go of what it held."""
        for lock in (self.lock, self.slot.lock if self.slot else None):
            if lock is not None:
                lock.release()


def start(
    trial: Trial,
    root: Path,
    trials: Mapping[str, Trial],
    launch: Launch = bundle_command,
    environment: Mapping[str, str] | None = None,
    slot: Slot | None = None,
    processes: Processes = FRESH,
) -> Attempt | State:
    """Start the training of a trial, or go on with it, unless somebody does so already, or it is done.

    Args:
        trial: to run; what it depends on is done.
        root: the study's folder, absolute.
        trials: all of the study, by id.
        launch: makes the command.
        environment: of the training.
        slot: of a GPU, released when the training ends.
        processes: how it is started.

    Returns:
        the attempt; or the trial's state where there is nothing to run, or where it could not be started.
    """
    folder = root / trial.folder
    lock: Lock | None = None
    output: IO[bytes] | None = None
    try:
        lock = Lock.take(folder / LOCK)
        if lock is None:
            _release(slot)
            return Attempt(trial, folder)
        state = state_at_rest(folder, trial.kind)
        if state.name in (DONE, DAMAGED):
            _release(slot, lock)
            return state
        for name in ("failed.json", RECORDED):  # a record that was not put in place to the end counts for nothing
            (folder / name).unlink(missing_ok=True)
        files.make_folder(root / STARTED)
        (root / STARTED / trial.id).touch()
        files.write_json(folder / TRIAL_FILE, trial.as_dict())
        knobs = {**trial.start_knobs(root, trials), "resume": (folder / "run.json").exists()}
        variables = {**(os.environ if environment is None else environment)}
        if slot is not None:
            variables["CUDA_VISIBLE_DEVICES"] = slot.gpu
        inherited = [lock.number, *([slot.lock.number] if slot else [])]
        output = (folder / OUTPUT).open("wb")
        process = processes.start(launch(trial, knobs), output=output, environment=variables, inherited=inherited)
    except (OSError, InputError) as error:
        _release(slot, lock)
        return record_failure(folder, f"could not be started: {error}", None, 0.0)
    finally:
        if output is not None:
            output.close()
    attempt = Attempt(trial, folder, process)
    attempt.lock, attempt.slot = lock, slot
    return attempt


def record_failure(folder: Path, error: str, code: int | None, seconds: float) -> State:
    """Write ``failed.json``; where even that cannot be written, the error is in the state alone."""
    content = {
        "error": error,
        "returncode": code,
        "seconds": round(seconds, 1),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    try:
        files.write_json(folder / "failed.json", content)
    except InputError as second:
        return State(FAILED, f"{error} ({second})")
    return State(FAILED, error)


def explain(output: Path, code: int) -> str:
    """Why a training ended without being done, from what it printed and its exit status."""
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        hint = "; was memory short?" if code == -signal.SIGKILL else ""
        return f"killed by {names.get(-code, f'signal {-code}')}{hint}"
    return error_of(output) or f"ended with exit status {code} and without done.json"


def error_of(output: Path) -> str:
    """What a training's output says is wrong: from its last ``error:`` on, or its last lines."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    lines = [line.rstrip() for line in lines if line.strip()]
    first = max((i for i, line in enumerate(lines) if line.startswith("error: ")), default=None)
    if first is None:
        return "\n".join(lines[-_LINES:])
    shown = [line for line in lines[first:] if not line.startswith("full trace:")]
    return "\n".join(shown[: 2 * _LINES]).removeprefix("error: ")


def _release(slot: Slot | None, lock: Lock | None = None) -> None:
    for held_lock in (slot.lock if slot else None, lock):
        if held_lock is not None:
            held_lock.release()
