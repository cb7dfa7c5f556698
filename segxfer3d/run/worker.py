"""A warm worker: it imports once what trainings need, and forks a child for each training.

``python -W ignore -m segxfer3d.run.worker NUMBER`` is started by a study, which talks to it through the socket of this
number; every message is a line of JSON. First the study says what to import, ``{"modules": [...]}``, and is answered
``{"ready": true}``, or why this process cannot be forked, ``{"ready": false, "reason": ...}``. Then, as often as it
likes, ``{"module", "arguments", "environment"}``, with open files: where the child prints to, and locks that it holds;
the answer is ``{"pid"}``, and when the child has ended ``{"ended": pid, "code"}``.

A child is what ``python -W ignore -m MODULE ARGUMENTS`` would have made: a session of its own, these arguments, this
environment, no input, Python's own end. It outlives the worker, which ends when the study does. The processes of a
study differ in ``CUDA_VISIBLE_DEVICES`` only: variables that libraries read as they are loaded (``OMP_NUM_THREADS``)
are those that the worker was started with. Nothing here may start a thread or touch a GPU before the fork, for neither
survives it.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_TO_STOP = 10.0
MOST_FILES = 16
# torch counts GPUs without initializing them
_COUNT_ONLY = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


@dataclass(frozen=True)
class Job:
    """What a child is to run: a module with arguments, with the open files that came with it."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    files: list[int]


def serve(connection: Connection) -> Job | None:
    """Fork for every job until the study ends; in the worker itself, None; in a child, its job."""
    message, _ = connection.receive()
    if message is None:
        return None
    warm_up(message["modules"])
    if reason := cannot_fork():
        connection.send({"ready": False, "reason": reason})
        return None
    gc.collect()
    gc.freeze()  # what is imported is not copied by a child's collections
    connection.send({"ready": True})
    children: set[int] = set()
    while True:
        waiting = connection.waiting(SECONDS_BETWEEN_LOOKS)
        reap(connection, children)
        if not waiting:
            continue
        message, files = connection.receive()
        if message is None:
            return None
        if message.get("end"):
            stop(connection, children)
            return None
        pid = os.fork()
        if pid == 0:
            connection.close()
            return Job(message["module"], message["arguments"], message["environment"], files)
        children.add(pid)
        for number in files:
            os.close(number)
        connection.send({"pid": pid})


def warm_up(modules: Sequence[str]) -> None:
    """Import them; what cannot be imported is left to the training, which says why."""
    before = {name: os.environ.get(name) for name in _COUNT_ONLY}
    os.environ.update(_COUNT_ONLY)
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def cannot_fork() -> str:
    """Why children of this process would not be as good as new; empty where they are.

    Libraries that know how to be forked end their threads before it and start new ones when they need them (OpenBLAS,
    which NumPy and SciPy bring, does); so a child that ends at once is forked first, and threads are counted then.
    """
    tasks, opened = Path("/proc/self/task"), Path("/proc/self/fd")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    if tasks.is_dir() and (count := len(list(tasks.iterdir()))) > 1:
        return f"{count} threads run"
    with suppress(OSError):
        if any("nvidia-uvm" in os.readlink(number) for number in opened.iterdir()):  # noqa: PTH115
            return "a GPU is in use"
    return ""


def become(job: Job) -> None:
    """Turn this forked process into the training, and run it; what it raises is Python's to show."""
    os.setsid()
    os.environ.clear()
    os.environ.update(job.environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (job.files[0], 1), (job.files[0], 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(job.files[0])
    for number in job.files[1:]:
        os.set_inheritable(number, True)  # its loaders hold them too, as in a process that was started anew
    sys.argv = [job.module, *job.arguments]
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)


def reap(connection: Connection, children: set[int]) -> None:
    """Tell the study of the children that have ended."""
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.remove(pid)
            connection.send({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def stop(connection: Connection, children: set[int]) -> None:
    """End the children that are left, those that do not want to after a while."""
    for number, seconds in ((signal.SIGTERM, SECONDS_TO_STOP), (signal.SIGKILL, SECONDS_TO_STOP)):
        for pid in children:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
        end = time.monotonic() + seconds
        while children and time.monotonic() < end:
            reap(connection, children)
            time.sleep(SECONDS_BETWEEN_LOOKS)


class Connection:
    """Lines of JSON, some with open files, to and from the study."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._unread = b""

    def close(self) -> None:
        """Not for this process."""
        self._socket.close()

    def waiting(self, seconds: float) -> bool:
        """Whether something came, or comes within that time."""
        return b"\n" in self._unread or bool(select.select([self._socket], [], [], seconds)[0])

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; where nobody listens any more, the next read says so."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        """The next message and the files that came with it; None where the study has ended."""
        files = array.array("i")
        room = socket.CMSG_SPACE(MOST_FILES * files.itemsize)
        while b"\n" not in self._unread:
            try:
                part, extra, _, _ = self._socket.recvmsg(1 << 16, room)
            except ConnectionResetError:
                return None, []
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    files.frombytes(data[: len(data) - len(data) % files.itemsize])
            if not part:
                return None, []
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message, list(files)


def main() -> None:
    """Serve the study whose socket is named on the command line."""
    job = serve(Connection(int(sys.argv[1])))
    if job is not None:
        become(job)


if __name__ == "__main__":
    main()
