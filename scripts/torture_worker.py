"""Trials of damaged inputs in a forked process with limits, and what is a good end of one."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from torture_mutations import CANARY
from torture_processes import peaks, reset_peaks, used

from segxfer3d.config.short_errors import MOST_CHARACTERS, root_cause, shortened
from segxfer3d.errors import InputError

SECONDS = 20.0
GROWTH = 2 * 2**30
READ, REFUSED = "read", "refused"
GOOD = (READ, REFUSED)
_LOOK = 0.05  # seconds between two looks at a trial's memory
_TRIALS = 250  # of one process, so that what one leaves behind does not pile up
_MORE = 200  # characters that a shortened message is longer than its limit


class Kind(Protocol):
    """A kind of input: how a damaged one is made, and how the library reads it.

    Attributes:
        name, group: of the kind, and of what it belongs to.
        every: it is tried in each round (1), or in one of so many, where a trial takes seconds.
    """

    name: str
    group: str
    every: int

    def prepare(self, root: Path) -> None:
        """Write the good input, once, below a folder."""

    def damage(self, place: Path, rng: Random) -> Path:
        """Write a damaged input below an empty folder; the file that is damaged."""

    def names(self, place: Path, damaged: Path) -> Iterable[str]:
        """What a message has to name one of."""

    def read(self, place: Path) -> None:
        """Read it as the library does.

        Raises:
            InputError: it cannot be used.
        """


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: ``read``, ``refused``, or what went wrong; with what it took."""

    word: str
    detail: str = ""
    seconds: float = 0.0
    growth: int = 0

    @property
    def good(self) -> bool:
        """Whether that is how it has to end."""
        return self.word in GOOD


def judge(error: BaseException | None, names: Iterable[str], place: Path) -> tuple[str, str]:
    """The word for an end, and what is wrong with it.

    A message is good where it is short, can be printed and names what is wrong.

    Args:
        error: that was raised, None where nothing was.
        names: one of which a message has to say.
        place: the folder of the input.
    """
    if (place / CANARY).exists():
        return "executed", "what was read ran code"
    if error is None:
        return READ, ""
    cause = root_cause(error)
    if not isinstance(cause, InputError):
        steps = traceback.extract_tb(cause.__traceback__)
        own = [step for step in steps if "segxfer3d" in step.filename] or steps
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        said = str(cause).encode("utf-8", "backslashreplace").decode()[:200]
        return "trace", f"{type(cause).__name__} in {where}: {said}"
    message = str(cause)
    try:
        message.encode("utf-8", "backslashreplace").decode()
    except UnicodeError:
        return "unprintable", ascii(message)[:200]
    if len(shortened(message)) > MOST_CHARACTERS + _MORE:
        return "long", f"{len(message)} characters: {ascii(message)[:150]}"
    if not any(name and name in message for name in names):
        return "unnamed", ascii(message)[:300]
    return REFUSED, ""


def one_trial(kind: Kind, seed: int, number: int, place: Path) -> tuple[str, str]:
    """Damage an input and read it; the end's word and detail."""
    place.mkdir(parents=True)
    damaged = kind.damage(place, Random(f"{seed}/{kind.name}/{number}"))
    try:
        kind.read(place)
    except BaseException as error:  # a trial may raise anything
        return judge(error, kind.names(place, damaged), place)
    return judge(None, (), place)


def names_of_file(place: Path, damaged: Path) -> set[str]:
    """What a message may call a damaged file: its name, that without endings, or those of the folders that hold it."""
    return {damaged.name, damaged.name.split(".")[0], place.name, *damaged.relative_to(place).parts}


class Worker:
    """A forked process that makes trials, one after another, watched from outside.

    Args:
        kinds: that it may be asked for.
        seed: of all trials.
        scratch: folder for inputs; what failed is kept there.
    """

    def __init__(self, kinds: Sequence[Kind], seed: int, scratch: Path) -> None:
        self.kinds = {kind.name: kind for kind in kinds}
        self.seed = seed
        self.scratch = scratch
        self.pid = 0
        self.left = 0

    def trial(self, name: str, number: int) -> Outcome:
        """One trial; a process that hangs, grows or dies is ended and replaced."""
        if not self.pid or not self.left:
            self.end()
            self._start()
        self.left -= 1
        began = time.monotonic()
        os.write(self._orders, json.dumps([name, number]).encode() + b"\n")
        before, growth = used(self.pid), 0
        while True:
            ready = select.select([self._answers], [], [], _LOOK)[0]
            seconds = time.monotonic() - began
            if ready:
                break
            growth = max(growth, used(self.pid) - before)
            if growth > GROWTH or seconds > SECONDS:
                self._kill()
                word = "hang" if seconds > SECONDS else "growth"
                return Outcome(word, f"{growth / 2**20:.0f} MiB more, {seconds:.1f} s", seconds, growth)
        line = self._hear()
        if line is None:
            code = self._ended()
            return Outcome("died", f"signal {-code}" if code < 0 else f"exit status {code}", seconds, growth)
        word, detail, peak, took = json.loads(line)
        growth = max(growth, peak, 0)
        if word in GOOD and growth > GROWTH:
            word, detail = "growth", f"{growth / 2**20:.0f} MiB more"
        return Outcome(word, detail, took, growth)

    def end(self) -> None:
        """End the process, if there is one."""
        if self.pid:
            self._kill()

    def _start(self) -> None:
        theirs, self._orders = os.pipe()
        self._answers, answer = os.pipe()
        self.left = _TRIALS
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders)
            os.close(self._answers)
            code = 1
            try:
                self._serve(theirs, answer)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(theirs)
        os.close(answer)

    def _serve(self, orders: int, answers: int) -> None:
        os.setsid()
        warnings.simplefilter("ignore")
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        for name in ("stdout", "stderr"):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(orders, encoding="utf-8") as lines:
            for line in lines:
                name, number = json.loads(line)
                place = self.place(name, number)
                tempfile.tempdir = str(place.parent)
                base = reset_peaks(os.getpid())
                began = time.monotonic()
                word, detail = one_trial(self.kinds[name], self.seed, number, place)
                took = time.monotonic() - began
                answer = json.dumps([word, detail, peaks(os.getpid()) - base, took])
                os.write(answers, answer.encode("utf-8", "backslashreplace") + b"\n")

    def place(self, name: str, number: int) -> Path:
        """The folder of a trial's input."""
        return self.scratch / f"{name}-{self.seed}-{number}"

    def _hear(self) -> bytes | None:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._answers, 1 << 16)
            if not part:
                return None
            line += part
        return line

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._ended()

    def _ended(self) -> int:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._orders)
        os.close(self._answers)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


def run_trials(
    worker: Worker, names: Sequence[str], *, until: float, first: int, say: Callable[[str, int, Outcome], None]
) -> None:
    """Trials of all kinds in turn, until a time of the monotonic clock; the folder of a good one goes."""
    from shutil import rmtree

    number = first
    while time.monotonic() < until:
        for name in names:
            if number % worker.kinds[name].every:
                continue
            outcome = worker.trial(name, number)
            if outcome.good:
                rmtree(worker.place(name, number), ignore_errors=True)
            say(name, number, outcome)
        number += 1
    worker.end()
