"""The worker process of :mod:`segxfer3d.data.io.guard`: reads a file when asked to, until its line is closed.

A message is its length (8 bytes) and JSON; an answer with an array brings the descriptor of the memory that holds it.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError

_LENGTH = 8


def send(line: socket.socket, message: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send a message, with descriptors of files beside it."""
    head = len(message).to_bytes(_LENGTH, "little")
    if descriptors:
        socket.send_fds(line, [head], descriptors)
    else:
        line.sendall(head)
    line.sendall(message)


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """Wait for a message.

    Raises:
        EOFError: the line was closed.
    """
    head, descriptors, _, _ = socket.recv_fds(line, _LENGTH, 1)
    while head and len(head) < _LENGTH:
        head += line.recv(_LENGTH - len(head))
    if len(head) < _LENGTH:
        raise EOFError
    rest, parts = int.from_bytes(head, "little"), []
    while rest:
        part = line.recv(min(rest, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        rest -= len(part)
    return b"".join(parts), list(descriptors)


def receive_answer(line: socket.socket) -> dict[str, Any]:
    """The answer to a request, its array mapped from the memory that the worker filled."""
    message, descriptors = receive(line)
    answer: dict[str, Any] = json.loads(message)
    for descriptor in descriptors:
        try:
            mapped = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        flat = np.frombuffer(mapped, np.dtype(answer["dtype"]), count=int(np.prod(answer["shape"], dtype=np.int64)))
        answer["array"] = flat.reshape(answer["shape"])
    return answer


class SharedMemory:
    """The array that a reader fills; its memory is a nameless file that the other process maps too."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.array: NDArray[Any] = np.empty(0, np.uint8)

    def allocate(self, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Zeros of a shape and a type."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("segxfer3d")
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        os.ftruncate(self.descriptor, size)
        flat = np.frombuffer(mmap.mmap(self.descriptor, size), dtype, count=int(np.prod(shape, dtype=np.int64)))
        self.array = flat.reshape(shape)
        return self.array

    def close(self) -> None:
        """Let go of the memory."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.__init__()  # type: ignore[misc]


def read(request: dict[str, Any], memory: SharedMemory) -> Any:
    """Call the reader of a request."""
    module, _, name = request["reader"].partition(":")
    return getattr(importlib.import_module(module), name)(memory.allocate, **request["arguments"])


def read_here(request: dict[str, Any]) -> tuple[NDArray[Any], Any]:
    """The same without a process."""
    memory = SharedMemory()
    request = json.loads(json.dumps(request))
    result = read(request, memory)
    array = memory.array
    memory.close()
    return array, result


def _limit_memory(more: int) -> None:
    """Allow this process so many bytes above what it has; readers get an error, or end, where they ask for more."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))


def _answer(line: socket.socket, request: dict[str, Any]) -> None:
    if "module" in request:  # before time and memory are limited: what a library takes is not the file's
        with suppress(Exception):  # which the reader says again
            importlib.import_module(request["module"])
        send(line, json.dumps({"ready": True}).encode())
        return
    memory = SharedMemory()
    with suppress(OSError):
        os.chdir(request["folder"])
    _limit_memory(request["limit"])
    try:
        result = read(request, memory)
        answer = {"dtype": memory.array.dtype.str, "shape": memory.array.shape, "result": result}
        send(line, json.dumps(answer).encode(), [memory.descriptor])
    except InputError as error:
        send(line, json.dumps({"error": str(error), "known": True}).encode())
    except MemoryError:
        send(line, json.dumps({"error": "it asks for more memory than its header says", "known": False}).encode())
    except Exception as error:  # of any library, about any file
        last = ([text.strip() for text in str(error).splitlines() if text.strip()] or [type(error).__name__])[-1]
        send(line, json.dumps({"error": last[:150], "known": False}).encode())
    finally:
        memory.close()


def main() -> None:
    """Answer until the line is closed."""
    with socket.socket(fileno=int(sys.argv[1])) as line, suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            message, _ = receive(line)
            _answer(line, json.loads(message))


if __name__ == "__main__":
    main()
