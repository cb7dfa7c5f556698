"""Kill trials: a job dies at its n-th write or at some moment, is started again, and has to end with the same bits."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from torture_jobs import TinyJob, differences, left
from torture_processes import kill_tree, tree
from torture_start import Writes

from segxfer3d.config.short_errors import root_cause
from segxfer3d.errors import InputError
from segxfer3d.study import runner

_SUBREAPER = 36  # of prctl: orphans below this process become its children
_SECONDS = 180.0  # that a job may take on a busy machine
_STARTS = 4  # of a job after a kill; a training that was killed alone is a failed trial, which the next start tries
_LAST_WORDS = "said.txt"
_TEMPORARY = "temporary"
_LOGS = "segxfer3d-error-"  # traces of errors, of which the last ten are kept there


@dataclass(frozen=True)
class Ended:
    """How a started job ended: its status (negative: a signal), and its last words where it raised something."""

    status: int
    said: str
    seconds: float


class Bench:
    """Where one job after another is tried, always in the same folder, so that paths in files are the same.

    Args:
        root: folder of trials, which holds nothing else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "trial"
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)

    def start(self, job: TinyJob, writes: Writes | None = None, *, kill_after: float = 0.0) -> Ended:
        """Run a job in a forked process, and wait for it.

        Args:
            job: to run.
            writes: counts its writes, and may kill it.
            kill_after: seconds after which all of its processes are killed; 0 for never.
        """
        (self.root / _TEMPORARY).mkdir(parents=True, exist_ok=True)
        said = self.root.with_name(f"{self.root.name}-{_LAST_WORDS}")  # not on a disk that may be full
        said.write_text("", encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        began = time.monotonic()
        whole = writes is not None and writes.at > 0 and writes.whole
        pid = os.fork()
        if pid == 0:
            _be(job, self.folder, said, self.root / _TEMPORARY, writes)
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            seconds = time.monotonic() - began
            if (kill_after and seconds > kill_after) or seconds > _SECONDS:
                whole = True
                kill_tree(pid)
            time.sleep(0.005)
        while whole and len(tree(os.getpid())) > 1:  # a process that was killed holds its locks until it is gone
            self.reap()
            time.sleep(0.005)
        words = said.read_text(encoding="utf-8", errors="replace")
        return Ended(os.waitstatus_to_exitcode(status), words, time.monotonic() - began)

    def clear(self) -> None:
        """Remove all that a trial left, processes too."""
        for pid in tree(os.getpid())[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.reap()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.root / _TEMPORARY, ignore_errors=True)

    def reap(self) -> None:
        """Hear of orphans that have ended."""
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def whole(self, job: TinyJob) -> tuple[dict[str, str], int, float]:
        """What a job that is never stopped leaves, how often it writes, and the seconds it takes.

        Raises:
            RuntimeError: it does not end well, or not twice with the same.
        """
        found: list[dict[str, str]] = []
        count, seconds = 0, 0.0
        for _ in range(2):
            self.clear()
            writes = Writes(self.folder)
            ended = self.start(job, writes)
            if ended.status:
                raise RuntimeError(f"{job.name} does not run: status {ended.status}, {ended.said}")
            found.append(left(self.folder))
            count, seconds = writes.count, ended.seconds
        self.clear()
        if unlike := differences(*found):
            raise RuntimeError(f"{job.name} does not repeat: {'; '.join(unlike[:5])}")
        return found[0], count, seconds

    def go_on(self, job: TinyJob, expected: dict[str, str]) -> str:
        """Start a job again until it ends well; what is wrong with that, or with what is left, empty where nothing."""
        for start in range(1, _STARTS + 1):
            ended = self.start(job)
            if ended.status == 0:
                break
            if ended.status < 0 or ended.said.startswith("trace"):
                return f"started again, it ended with {ended.status}: {ended.said}"
            if start == _STARTS or not ended.said.startswith("status"):
                return f"started again, it was refused: {ended.said}"
        self.reap()
        problems = differences(expected, left(self.folder))
        left_there = [path.name for path in (self.root / _TEMPORARY).iterdir() if not path.name.startswith(_LOGS)]
        problems += [f"{name} is left in the temporary folder" for name in left_there]
        problems += [f"process {pid} still runs" for pid in tree(os.getpid())[1:]]
        return "; ".join(problems[:5])


def _be(job: TinyJob, folder: Path, said: Path, temporary: Path, writes: Writes | None) -> None:
    """What the forked process does, and then no more. Its last words are ``refused`` (an InputError), ``status`` (an
    exit status that a command gives) or ``trace``, and what was said."""
    code, words = 1, ""
    try:
        os.setsid()
        warnings.simplefilter("ignore")
        logging.raiseExceptions = False  # as at the command line
        output = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(output, number)
        tempfile.tempdir = str(temporary)
        os.environ["TMPDIR"] = str(temporary)
        runner._SECONDS_BETWEEN_LOOKS = 0.02
        if writes is not None:
            writes.install()
        job.again(folder)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        words = f"status {code}"
    except BaseException as error:
        cause = root_cause(error)
        if isinstance(cause, InputError):
            words = f"refused: {cause}"
        else:
            words = f"trace: {''.join(traceback.format_exception(error))[-1500:]}"
    finally:
        if words:
            with suppress(OSError):
                said.write_text(words, encoding="utf-8", errors="backslashreplace")
        os._exit(code)


Say = Callable[[str, int, str, float], None]


def kill_trials(bench: Bench, jobs: Sequence[TinyJob], *, seed: int, until: float, first: int, say: Say) -> None:
    """Kill jobs in turn until a time of the monotonic clock: at every write one after another, and now and then at some
    moment; sometimes what was started again is killed, too.

    Args:
        bench: where.
        jobs: which.
        seed, first: of what is drawn; trial ``first`` is the first.
        until: when no trial is begun any more.
        say: told of each: job, number of kills in it, what went wrong (empty where nothing), and its seconds.
    """
    known: dict[str, tuple[TinyJob, dict[str, str], int, float]] = {}
    for job in jobs:
        if time.monotonic() < until or not known:
            known[job.name] = (job, *bench.whole(job))
    number = first
    while time.monotonic() < until:
        for job, expected, writes, seconds in known.values():
            if time.monotonic() >= until:
                break
            began = time.monotonic()
            rng = Random(f"{seed}/{job.name}/{number}")
            kills, problem = one_kill(bench, job, expected, writes, seconds, rng, number)
            bench.clear()
            say(f"{job.name}, trial {number}", kills, problem, time.monotonic() - began)
        number += 1


def one_kill(
    bench: Bench, job: TinyJob, expected: dict[str, str], writes: int, seconds: float, rng: Random, number: int
) -> tuple[int, str]:
    """One trial: kills (one, or two in a row), and what went wrong."""
    kills, last = 0, ""
    for again in range(2 if rng.random() < 0.25 else 1):
        if number % 4 == 3 or again:
            ended = bench.start(job, kill_after=rng.uniform(0.0, seconds))
            last = "at some moment"
        else:
            # writes in an order in which neighbors come far apart, so that any number of trials covers the whole job
            at = 1 + (number * 0x9E3779B1 >> 4) % writes if number % 2 else 1 + (number * 7) % writes
            whole, cut = not job.alone or rng.random() < 0.6, rng if rng.random() < 0.5 else None
            ended = bench.start(job, Writes(bench.folder, at, whole=whole, cut=cut))
            last = f"at write {at}{'' if whole else ', that process alone'}{', within the last' if cut else ''}"
        if ended.said.startswith(("trace", "refused")):
            return kills, f"killed {last}: {ended.said}"
        kills += 1
    problem = bench.go_on(job, expected)
    return kills, f"killed {last}: {problem}" if problem else ""
