"""How trainings are started: each as a process of its own, or forked from a worker that has imported all already.

Importing torch, MONAI and this package takes seconds. :class:`WarmProcesses` has a worker
(:mod:`segxfer3d.run.worker`, a process: nothing is imported here) do so once, and fork a child for each training.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Any, Protocol

from segxfer3d.study.code import PACKAGE, modules, read_config

PYTHON = [sys.executable, "-W", "ignore", "-m"]
WORKER = "segxfer3d.run.worker"
SECONDS_TO_END = 30.0
LIBRARIES = ("fire", "monai.bundle", "torch._dynamo", "torch.utils.tensorboard")  # that every training comes to load
_MAY_DIFFER = {"CUDA_VISIBLE_DEVICES"}  # read when a training first asks for a GPU, not as libraries are loaded


class Process(Protocol):
    """A training that was started, as :class:`subprocess.Popen` shows it."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """


class LostError(Exception):
    """Nobody can tell any more how a training ends; its lock says when."""


class Processes(Protocol):
    """A way to start trainings."""

    def start(
        self, command: Sequence[str], *, output: IO[bytes], environment: Mapping[str, str], inherited: Sequence[int]
    ) -> Process:
        """Start a command in a session of its own, without input.

        Args:
            command: words.
            output: what it prints goes there.
            environment: of the process.
            inherited: numbers of open files (locks) that it keeps open.

        Raises:
            OSError: it cannot be started.
        """


class FreshProcesses:
    """Every training is a new process."""

    def start(
        self, command: Sequence[str], *, output: IO[bytes], environment: Mapping[str, str], inherited: Sequence[int]
    ) -> Process:
        """See :class:`Processes`."""
        return subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=dict(environment), pass_fds=list(inherited), start_new_session=True,
        )  # fmt: skip


FRESH = FreshProcesses()


class WarmProcesses:
    """Trainings are forked from a worker; where that cannot be, they are new processes.

    Args:
        modules: that the worker imports, by their full names.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = list(modules)
        self.worker: _Worker | None = None
        self.usable = True
        self.reason = ""

    def __enter__(self) -> WarmProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.worker is not None:
            self.worker.close()

    def start(
        self, command: Sequence[str], *, output: IO[bytes], environment: Mapping[str, str], inherited: Sequence[int]
    ) -> Process:
        """See :class:`Processes`."""
        if self.usable and list(command[: len(PYTHON)]) == PYTHON:
            try:
                if self.worker is None:
                    self.worker = _Worker(self.modules, environment)
                if self.worker.fits(environment):
                    words = list(command[len(PYTHON) :])
                    return self.worker.start(words[0], words[1:], environment, [output.fileno(), *inherited])
            except (OSError, LostError) as error:
                self.usable, self.reason = False, str(error)
        return FRESH.start(command, output=output, environment=environment, inherited=inherited)


@contextmanager
def started_from(configs: Iterable[str], *, fresh: bool = False) -> Iterator[Processes]:
    """How a study starts its trainings.

    Args:
        configs: paths of their bundles.
        fresh: each as a new process.
    """
    if fresh:
        yield FRESH
        return
    names = modules(*(read_config(path) for path in dict.fromkeys(configs)))
    with WarmProcesses([*LIBRARIES, *(f"{PACKAGE}.{name}" for name in names)]) as processes:
        yield processes


class _Worker:
    """The process that forks, and what it has said so far.

    Raises:
        LostError: it cannot fork.
        OSError: it cannot be started.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.environment = _fixed(environment)
        self.codes: dict[int, int] = {}
        self.lost = False
        self._unread = b""
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [*PYTHON, WORKER, str(theirs.fileno())], env=dict(environment), pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            self._send({"modules": list(modules)}, [])
            answer = self._answer("ready")
            if not answer["ready"]:
                raise LostError(answer["reason"])
        except BaseException:
            self.connection.close()
            self.process.kill()
            self.process.wait()
            raise

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment can come from here."""
        return _fixed(environment) == self.environment

    def start(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[int]
    ) -> Process:
        """Fork a child that runs a module.

        Raises:
            LostError: the worker is gone.
        """
        job = {"module": module, "arguments": list(arguments), "environment": dict(environment)}
        self._send(job, files)
        return _Forked(self._answer("pid")["pid"], self)

    def look(self, seconds: float = 0.0) -> None:
        """Hear what the worker says, waiting no longer than that for it."""
        while not self.lost and select.select([self.connection], [], [], seconds)[0]:
            self._hear()
            seconds = 0.0

    def close(self) -> None:
        """End the worker, and with it what it still runs."""
        with suppress(OSError, LostError):
            self._send({"end": True}, [])
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.lost = True

    def _send(self, message: Mapping[str, Any], files: Sequence[int]) -> None:
        content = json.dumps(message).encode() + b"\n"
        try:
            sent = socket.send_fds(self.connection, [content], list(files)) if files else 0
            self.connection.sendall(content[sent:])
        except OSError as error:
            self.lost = True
            raise LostError(f"the worker has ended ({error})") from error

    def _answer(self, name: str) -> dict[str, Any]:
        """The next message with this entry; others are noted."""
        while True:
            for message in self._hear():
                if name in message:
                    return message
            if self.lost:
                raise LostError("the worker has ended")

    def _hear(self) -> list[dict[str, Any]]:
        """What came since the last time, as it comes; ends of children are noted."""
        try:
            part = self.connection.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        self.lost = not part
        *lines, self._unread = (self._unread + part).split(b"\n")
        messages = [json.loads(line) for line in lines]
        self.codes |= {message["ended"]: message["code"] for message in messages if "ended" in message}
        return messages


class _Forked:
    """A child of the worker."""

    def __init__(self, pid: int, worker: _Worker) -> None:
        self.pid = pid
        self._worker = worker

    def poll(self) -> int | None:
        """See :class:`Process`.

        Raises:
            LostError: the worker ended first.
        """
        self._worker.look()
        code = self._worker.codes.get(self.pid)
        if code is None and self._worker.lost:
            raise LostError("the worker has ended")
        return code

    def wait(self, timeout: float | None = None) -> int:
        """See :class:`Process`.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
            LostError: the worker ended first.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self._worker.look(min(left, 1.0))
        return code


def _fixed(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in _MAY_DIFFER}


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to a training and the processes that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
