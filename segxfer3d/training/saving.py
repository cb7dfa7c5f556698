"""Training states are copied between two steps, and written beside the training.

Of the time that a state of a large network takes, the disk has most. So the step loop waits for a copy in memory alone,
and a thread writes that while the training goes on.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.run.memory import memory_left
from segxfer3d.weights.checkpoint import StateFolder

logger = logging.getLogger(__name__)

_ROOM = 2.0  # how many copies there has to be room for
_CONSTANT = ("best_state",)


class StateWriter:
    """Writes the training states of a run, one at a time.

    What a thread could not write is raised by the next call.

    Args:
        states: where they go.
    """

    def __init__(self, states: StateFolder) -> None:
        self.states = states
        self._copies = Copies()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def prepare(self, content: Mapping[str, Any]) -> None:
        """Take the memory for copies beside the training: the first copy is then as fast as the others.

        Args:
            content: as that of :meth:`begin`; its values may change meanwhile.

        Raises:
            InputError: a state that was begun could not be written.
        """
        self.wait()
        copied, _ = _apart(content)
        self._start(lambda: self._copies.take(copied))

    def write(self, epoch: int, content: Mapping[str, Any], *, step: int = 0) -> None:
        """Write a state, and come back when it is on disk.

        Raises:
            InputError: it, or the one before, cannot be written.
        """
        self.wait()
        self.states.write(epoch, content, step=step)

    def begin(self, epoch: int, content: Mapping[str, Any]) -> None:
        """Copy a state, and come back while it is written; the one before is written whole first.

        Where there is no memory for a copy, it comes back when the state is on disk.

        Args:
            epoch: that has ended.
            content: plain values and tensors. The best weights are a copy already, which nothing changes.

        Raises:
            InputError: the one before could not be written, or this one's folder cannot be made.
        """
        self.wait()
        self.states.make()
        changing, constant = _apart(content)
        copied = self._copies.take(changing)
        if copied is None or not self._start(lambda: self.states.write(epoch, {**copied, **constant})):
            self.states.write(epoch, content)

    def check(self) -> None:
        """Raise the error of a state that could not be written, without waiting for one that is not written yet."""
        if self._error is not None:
            self.wait()

    def wait(self) -> None:
        """Wait until the state that was begun is on disk.

        Raises:
            InputError: it could not be written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def finish(self) -> None:
        """As :meth:`wait`, where the run ends by another error, which is told before this one's."""
        try:
            self.wait()
        except InputError as error:
            logger.error("%s", error)

    def _start(self, work: Callable[[], object]) -> bool:
        """Have a thread do it; False where this process may have no more threads."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._error = error  # the training raises it

        thread = threading.Thread(target=run, name="training state")
        with suppress(RuntimeError):
            thread.start()  # Python waits for it at the process' end, however that comes
            self._thread = thread
        return self._thread is thread


def _apart(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What training changes, and what it does not."""
    changing = {key: value for key, value in content.items() if key not in _CONSTANT}
    return changing, {key: content[key] for key in content if key not in changing}


class Copies:
    """One copy of a state in the processor's memory, which each state is copied into anew.

    Memory that was taken before costs a quarter of new memory's time. Tensors that share their values share them in
    the copy too, and each has the same order of axes in memory: a copy is saved as the state would be.
    """

    def __init__(self) -> None:
        self._tensors: dict[tuple[Any, ...], Tensor] = {}  # where in the state -> the copy there
        self._short = False

    def take(self, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """A copy that nothing changes until the next one is taken; None where there is no memory for it."""
        size = sum(tensor.nbytes for tensor in _tensors(content))
        if not self._tensors and memory_left() < _ROOM * size:
            self._say_short(size)
            return None
        before, self._tensors = self._tensors, {}
        seen: dict[tuple[Any, ...], Tensor] = {}
        try:
            return {key: self._copy(value, (key,), before, seen) for key, value in content.items()}
        except (MemoryError, RuntimeError):  # torch has no error of its own for a processor's memory
            self._tensors = {}
            self._say_short(size)
            return None

    def _say_short(self, size: int) -> None:
        if not self._short:
            logger.info("no memory for a copy of a training state (%.1f GiB): training waits for each", size / 2**30)
        self._short = True

    def _copy(self, value: Any, place: tuple[Any, ...], before: _Places, seen: _Places) -> Any:
        if isinstance(value, Tensor):
            return self._tensor(value.detach(), place, before, seen)
        if isinstance(value, dict):
            copied = copy.copy(value)  # of a network's weights, with the versions that they have beside them
            for key, item in value.items():
                copied[key] = self._copy(item, (*place, key), before, seen)
            return copied
        if type(value) in (list, tuple):
            return type(value)(self._copy(item, (*place, n), before, seen) for n, item in enumerate(value))
        return copy.deepcopy(value)

    def _tensor(self, tensor: Tensor, place: tuple[Any, ...], before: _Places, seen: _Places) -> Tensor:
        values = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and values in seen:
            return seen[values]
        kept = before.get(place)
        alike = kept is not None and kept.dtype == tensor.dtype and kept.shape == tensor.shape
        if kept is None or not alike or kept.stride() != tensor.stride():
            kept = torch.empty_like(tensor, device="cpu")
        self._tensors[place] = seen[values] = kept.copy_(tensor)
        return kept


_Places = dict[tuple[Any, ...], Tensor]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
