"""Which engine computes a network: the one that is named, compared with torch before it is used, or by measuring."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from segxfer3d.config.engines import TORCH
from segxfer3d.errors import InputError
from segxfer3d.inference.engines import BATCH_STATISTICS, engines
from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.inference.engines.graphs import takes_batch_statistics
from segxfer3d.inference.engines.network import EngineNetwork

WORTH = 10.0  # seconds of torch that are worth a trial of each engine, which takes some
_REPEATS = 2
# of the largest logit, by which an engine's may differ: rounding in float32 is a hundredth of it
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass
class Choice:
    """Which engine computes, and what was seen of it.

    Attributes:
        engine: its name.
        precision: in which it computes.
        windows: that are expected.
        seconds: of a window by each that was measured.
        compile_seconds: of each that was compiled, once.
        largest_difference: of its logits from torch's in float32, on a window of noise.
        largest_logit: there, by torch.
        notes: why others were not taken.
    """

    engine: str
    precision: str
    windows: int
    seconds: dict[str, float] = field(default_factory=dict)
    compile_seconds: dict[str, float] = field(default_factory=dict)
    largest_difference: float = 0.0
    largest_logit: float = 0.0
    notes: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """What a user hears."""
        text = f"engine {self.engine} in {self.precision}"
        if self.seconds:
            listed = ", ".join(f"{name} {seconds:.3g}" for name, seconds in self.seconds.items())
            text += f"; seconds a window: {listed}; {self.windows} windows"
        if self.engine != TORCH:
            text += f"; logits differ from torch's by up to {self.largest_difference:.2g} of {self.largest_logit:.3g}"
        return "; ".join([text, *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``engine.json``."""
        return {name: value for name, value in vars(self).items() if value != [] and value != {}}


def settle(network: EngineNetwork, shape: Sequence[int], *, windows: int, members: int = 1) -> Choice:
    """Compile the engine of a network, or choose one where none is named yet, before any case is seen.

    A choice compares the seconds that a window takes by torch and by each engine that is there, times ``windows``;
    where torch would be done within :data:`WORTH` seconds nothing else is tried, for compiling alone takes seconds. An
    engine that cannot take the network, or says something else than torch, is passed over with a note.

    Args:
        network: gets the engine.
        shape: (C, *spatial) of a window.
        windows: that are expected, of all cases and turned around.
        members: models whose weights it computes in turn, each of which is compiled.

    Raises:
        InputError: the engine that was named cannot take the network.
    """
    device = next(network.parameters()).device
    window = torch.rand((1, *shape), generator=torch.Generator().manual_seed(1)).to(device)
    named = network.engine
    if named is not None:
        choice = Choice(named.name, _precision(named, network.amp), windows)
        try:
            _try(network, named, window, choice)
        except _UnfitError as error:
            raise InputError(f"engine {named.name}: cannot take the network: {error}; --engine {TORCH}") from error
        choice.seconds.clear()
        return choice
    choice = Choice(TORCH, "bfloat16" if network.amp else "float32", windows)
    choice.seconds[TORCH] = _seconds(network.by_torch, window)
    if takes_batch_statistics(network):
        choice.notes.append(f"no other can take the network: {BATCH_STATISTICS}")
        network.use(None)
        return choice
    if choice.seconds[TORCH] * windows * members < WORTH:
        choice.notes.append("no other was tried, for compiling takes as long")
        network.use(None)
        return choice
    return _fastest(network, window, choice, members)


class _UnfitError(Exception):
    """An engine cannot take a network."""


def _fastest(network: EngineNetwork, window: Tensor, by_torch: Choice, members: int) -> Choice:
    """Torch, or the engine that is done first."""
    best, least = by_torch, by_torch.seconds[TORCH] * by_torch.windows * members
    chosen: Engine | None = None
    for name, engine in engines().items():
        if why := engine.absent(window.device):
            by_torch.notes.append(f"not {name}: {why}")
            continue
        tried = Choice(name, _precision(engine, network.amp), by_torch.windows)
        try:
            _try(network, engine, window, tried)
        except _UnfitError as error:
            by_torch.notes.append(f"not {name}: cannot take the network: {error}")
            continue
        by_torch.seconds |= tried.seconds
        by_torch.compile_seconds |= tried.compile_seconds
        # what has been compiled for the trial is paid
        total = members * tried.seconds[name] * tried.windows + (members - 1) * tried.compile_seconds[name]
        if total < least:
            best, least, chosen = tried, total, engine
    network.use(chosen)
    network.forget_others()
    best.seconds, best.compile_seconds, best.notes = by_torch.seconds, by_torch.compile_seconds, by_torch.notes
    return best


def _try(network: EngineNetwork, engine: Engine, window: Tensor, choice: Choice) -> None:
    """Compile, compare with torch, and measure.

    Raises:
        _UnfitError: it cannot be compiled, or says something else.
    """
    network.use(engine)
    before = network.compile_seconds
    try:
        forward = network.compiled(tuple(window.shape[1:]))
        logits = forward(window)
    except Exception as error:  # engines raise what they like
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise _UnfitError(f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}") from error
    choice.compile_seconds[engine.name] = network.compile_seconds - before
    expected = network.in_float32(window)
    choice.largest_logit = float(expected.abs().max())
    choice.largest_difference = float((logits - expected).abs().max())
    allowed = TOLERANCES[choice.precision] * max(choice.largest_logit, 1.0)
    if logits.shape != expected.shape or not choice.largest_difference <= allowed:  # NaN fails too
        raise _UnfitError(
            f"its logits differ from torch's by {choice.largest_difference:.3g}, expected {allowed:.3g} at most"
        )
    choice.seconds[engine.name] = _seconds(forward, window)


def _precision(engine: Engine, amp: bool) -> str:
    return engine.precision if amp else "float32"


def _seconds(forward: Forward, window: Tensor) -> float:
    """The least of some tries, after one."""
    times = []
    with torch.no_grad():
        for _ in range(1 + _REPEATS):
            started = time.perf_counter()
            forward(window)
            if window.device.type == "cuda":
                torch.cuda.synchronize(window.device)
            times.append(time.perf_counter() - started)
    return min(times[1:])
