"""How a torture trial starts a process: one that dies at its n-th write, and trainings that are forked from it.

Nothing of this is in the package: an audit hook of Python hears of every file that is opened for writing, renamed,
removed or made, and ``os.fsync`` is wrapped, in a forked process that never comes back.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import IO, Any

from torture_processes import kill_tree

from segxfer3d.run.worker import Job, become
from segxfer3d.study import launching

_CHANGES = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Writes:
    """Counts the writes below a folder, of this process and those that are forked from it, and kills at one of them.

    Args:
        root: the folder.
        at: number of the write that does not happen any more; 0 for none.
        to: kill where a file is renamed to this name, too.
        whole: kill all processes of the trial, not the writing one alone.
        cut: leave of the file that was opened last a piece of what was written, as a kill within a write does.
    """

    def __init__(self, root: Path, at: int = 0, *, to: str = "", whole: bool = True, cut: Random | None = None) -> None:
        self.root, self.to = str(root), to
        self.at, self.whole, self.cut = at, whole, cut
        self.top = 0
        self._count = mmap.mmap(-1, 8)  # seen by the processes that are forked
        self._opened: tuple[str, int] | None = None

    @property
    def count(self) -> int:
        """How many there were so far."""
        number: int = struct.unpack("q", self._count[:8])[0]
        return number

    def install(self) -> None:
        """From here on, in this process and its forks; it cannot be undone."""
        self.top = os.getpid()
        synced = os.fsync

        def fsync(file: Any) -> None:
            self._write()
            synced(file)

        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if self._inside(path) and flags & _WRITING:
                self._write()
                with suppress(OSError):
                    size = os.path.getsize(path) if os.path.exists(path) and not flags & os.O_TRUNC else 0  # noqa: PTH110, PTH202
                    self._opened = (os.fspath(path), size)
        elif event in _CHANGES and any(self._inside(path) for path in arguments[: _CHANGES[event]]):
            self._write()
            self._opened = None
            if self.to and event == "os.rename" and str(arguments[1]).endswith(f"/{self.to}"):
                os.kill(os.getpid(), signal.SIGKILL)

    def _inside(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self.root)

    def _write(self) -> None:
        number = self.count + 1
        self._count[:8] = struct.pack("q", number)
        if number != self.at:
            return
        if self.cut is not None and self._opened is not None:
            path, before = self._opened
            with suppress(OSError):
                os.truncate(path, self.cut.randint(before, max(before, os.path.getsize(path))))  # noqa: PTH202
        if self.whole:
            kill_tree(self.top, but=os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)


class Forked:
    """A training that was forked, as :class:`segxfer3d.study.launching.Process` shows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.01)
        return code


class Forks:
    """Trainings as forks of a process that has imported, and compiled, what they need."""

    def start(
        self, command: Sequence[str], *, output: IO[bytes], environment: Mapping[str, str], inherited: Sequence[int]
    ) -> Forked:
        """See :class:`segxfer3d.study.launching.Processes`."""
        module, *arguments = command[len(launching.PYTHON) :]
        pid = os.fork()
        if pid == 0:
            _let_go({output.fileno(), *inherited})
            kept = {name: value for name, value in os.environ.items() if name == "TMPDIR"}
            _train(Job(module, arguments, {**environment, **kept}, [os.dup(output.fileno()), *inherited]))
        return Forked(pid)


def _let_go(kept: set[int]) -> None:
    """Close the files that a process which is started, not forked, would not have: the study's own lock among them."""
    for place in Path("/proc/self/fd").iterdir():
        number = int(place.name)
        if number > 2 and number not in kept:
            with suppress(OSError):
                if os.readlink(place).endswith(".lock"):  # noqa: PTH115
                    os.close(number)


def _train(job: Job) -> None:
    """What a worker's child does, and then no more."""
    code = 1
    try:
        warnings.simplefilter("ignore")
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        become(job)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@contextmanager
def forks(configs: Iterable[str], *, fresh: bool = False) -> Iterator[Forks]:
    """In place of :func:`segxfer3d.study.launching.started_from`."""
    yield Forks()
