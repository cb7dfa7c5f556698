"""Readers of other libraries run in a process of their own, which may end or run out of memory without harm.

Some damaged files make a library end its process, others make it ask for gigabytes. A worker process with a limit on
its memory, started with the first file that needs it and kept, reads such formats; arrays come back through shared
memory, without a copy. Where the system has no way to hand over shared memory, the reader runs in this process.
"""

from __future__ import annotations

import atexit
import json
import math
import mmap
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segxfer3d import machine
from segxfer3d.data.io import worker
from segxfer3d.errors import InputError

Allocate = Callable[[Sequence[int], "np.dtype[Any]"], NDArray[Any]]

_MOST_WORKERS = 2  # as many threads check a data set
_SECONDS_TO_START = 120.0  # of a worker, for it imports a library, perhaps over a network
_SECONDS = 15.0  # for any file, and
_BYTES_PER_SECOND = 2e6  # for large ones
_SLACK = 512 * 2**20  # bytes that a reader may take beside its volumes
_VOLUMES = 4  # of memory that a reader may take: as stored, as converted, as handed over, and one to spare
_MEMORY_SHARE = 0.9  # of the machine's memory that a single volume may take


def size_of(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Bytes of an array."""
    return math.prod(int(length) for length in shape) * dtype.itemsize


def require_memory(path: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
    """Check what a header claims before anything is allocated.

    Raises:
        InputError: a volume larger than the machine's memory.
    """
    size, limit = size_of(shape, dtype), _MEMORY_SHARE * memory()
    if size > limit:
        raise InputError(
            f"{path}: a volume of {'x'.join(str(int(n)) for n in shape)} voxels would take {size / 2**30:.4g} GiB; "
            f"this machine has {memory() / 2**30:.3g}"
        )


def empty(shape: Sequence[int], dtype: np.dtype[Any], order: Literal["C", "F"] = "C") -> NDArray[Any]:
    """Memory for a volume, in plain pages.

    NumPy asks for huge ones, which the system first has to make room for: where memory is scattered that took 0.02 to
    0.4 s of CPU time for 200 MB, plain ones 0.08 s each time.
    """
    size = size_of(shape, dtype)
    if size == 0:
        return np.empty(shape, dtype, order)
    return np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape, order=order)


def memory() -> int:
    """Bytes of memory that the machine has."""
    return machine.memory()


def call(reader: str, path: Path, *, size: int, seconds: float = 0, **arguments: Any) -> tuple[NDArray[Any], Any]:
    """Read a file in a worker process.

    Args:
        reader: ``module:function``, called with ``allocate`` (gives the array to fill, by shape and type) and the
            arguments, which JSON has to know; what it returns comes back beside the array.
        path: of the file, for messages.
        size: bytes of the volume, by its header.
        seconds: that it may take; 0 for a rule by size.
        arguments: of the reader.

    Returns:
        the array, in shared memory, and what the reader returned.

    Raises:
        InputError: what the reader raised; or it ended its process, took too much memory or too long.
    """
    seconds = seconds or _SECONDS + size / _BYTES_PER_SECOND
    limit = _VOLUMES * size + _SLACK
    request = {"reader": reader, "limit": limit, "folder": str(Path.cwd()), "arguments": arguments}
    if not hasattr(socket, "send_fds"):
        return worker.read_here(request)
    with _free:
        process = _idle_worker()
        try:
            process.prepare(reader.partition(":")[0])
            answer = process.ask(request, seconds)
        except TimeoutError:
            process.end()
            raise InputError(f"{path}: cannot be read: its reader took more than {seconds:.0f} seconds") from None
        except (OSError, EOFError, ValueError):
            code = process.end()
            how = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise InputError(f"{path}: cannot be read, damaged: its reader crashed ({how})") from None
        except BaseException:  # Ctrl-C: the answer would come to the next file
            process.end()
            raise
        with _lock:
            _idle.append(process)
    if "error" in answer:
        raise InputError(answer["error"] if answer["known"] else _unreadable(path, answer["error"]))
    return answer["array"], answer["result"]


def _unreadable(path: Path, why: str) -> str:
    return f"{path}: cannot be read, damaged or truncated ({why})"


class _Worker:
    """A worker process and the line to it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.modules: set[str] = set()
        self.line, theirs = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", worker.__name__, str(theirs.fileno())]
        with theirs:
            self.process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def prepare(self, module: str) -> None:
        """Have a module imported, which is not the file's fault where it takes long."""
        if module not in self.modules:
            self.ask({"module": module}, _SECONDS_TO_START)
            self.modules.add(module)

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        self.line.settimeout(seconds)
        worker.send(self.line, json.dumps(request).encode())
        answer: dict[str, Any] = worker.receive_answer(self.line)
        return answer

    def end(self) -> int:
        """Close the line, which ends a process that listens, and kill one that does not; its exit status."""
        self.line.close()
        try:
            return self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


_idle: list[_Worker] = []
_lock = threading.Lock()
_free = threading.Semaphore(_MOST_WORKERS)


def _idle_worker() -> _Worker:
    with _lock:
        while _idle:
            process = _idle.pop()
            # one that was started before a fork belongs to the parent; one that ended by itself is of no use
            if process.pid == os.getpid() and process.process.poll() is None:
                return process
    return _Worker()


def _end_all() -> None:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.pid == os.getpid():
                process.end()


def _after_fork() -> None:
    global _lock, _free
    _lock, _free = threading.Lock(), threading.Semaphore(_MOST_WORKERS)
    _idle.clear()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
