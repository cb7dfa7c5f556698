"""A network that an engine computes, in the place of the network itself."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import NetworkForward

SIZES = 2  # of windows, of which what is compiled is kept: for each it has memory of its own
Choose = Callable[["EngineNetwork", tuple[int, ...]], object]


class EngineNetwork(SegmentationNetwork):
    """The parts of a network, whose logits an engine computes.

    It is converted when it first sees a window, once for all weights that are read into it, and compiled for each size
    of windows, of which the last :data:`SIZES` stay in memory. Precision and memory layout are the engine's business,
    so that whoever applies it leaves both alone (``amp`` and ``channels_last`` off).

    Args:
        network: in evaluation mode, on its device; it goes on sharing its weights.
        engine: None for torch.
        amp: compute in the engine's precision of 16 bits, where it has one.
        channels_last: of torch.
        choose: is called before the first window, with this and its shape (C, *spatial), to call :meth:`use`.

    Attributes:
        compile_seconds: that converting and compiling took in all.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        engine: Engine | None,
        *,
        amp: bool,
        channels_last: bool = True,
        choose: Choose | None = None,
    ) -> None:
        super().__init__(network.encoder, network.decoder, network.head, network.definition)
        self._torch = (network,)  # in a tuple: its tensors are those of the parts
        self.engine = engine
        self.amp = amp
        self.channels_last = channels_last
        self.compile_seconds = 0.0
        self.choose = choose
        self._graphs: dict[tuple[str, str], Any] = {}  # by engine and weights
        self._compiled: dict[tuple[str, str], OrderedDict[tuple[int, ...], Forward]] = {}  # then by size
        self._weights: tuple[tuple[int, ...], str] = ((), "")
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) float32 to logits (N, out_channels, *spatial) float32."""
        shape = tuple(x.shape[1:])
        if self.choose is not None:
            self.choose(self, shape)
        return self.by_torch(x) if self.engine is None else self.compiled(shape)(x)

    def by_torch(self, x: Tensor) -> Tensor:
        """What torch computes, in the same precision."""
        logits: Tensor = NetworkForward(self.amp, self.channels_last)(x, self._torch[0])
        return logits

    def in_float32(self, x: Tensor) -> Tensor:
        """What torch computes without ``amp``."""
        with torch.no_grad():
            logits: Tensor = NetworkForward(False, self.channels_last)(x, self._torch[0])
        return logits

    def use(self, engine: Engine | None) -> None:
        """Compute by an engine from now on; None is torch."""
        self.engine, self.choose = engine, None

    def follow(self, other: EngineNetwork) -> None:
        """Compute as another one does, and share what either compiles."""

        def chosen(follower: EngineNetwork, shape: tuple[int, ...]) -> None:
            if other.choose is not None:
                other.choose(other, shape)
            follower.follow(other)

        self.engine, self.choose = other.engine, None if other.choose is None else chosen
        self._graphs, self._compiled = other._graphs, other._compiled

    def forget_others(self) -> None:
        """Let go of what other engines than this one have compiled."""
        name = self.engine.name if self.engine else ""
        for known in (self._graphs, self._compiled):
            for key in [key for key in known if key[0] != name]:
                del known[key]  # in place, for others may share it

    def compiled(self, shape: Sequence[int]) -> Forward:
        """What the engine makes of the weights that there are, for windows (C, *spatial).

        Raises:
            Exception: whatever the engine raises for a network that it cannot take.
        """
        assert self.engine is not None
        key, shape = (self.engine.name, self._fingerprint()), tuple(shape)
        sizes = self._compiled.setdefault(key, OrderedDict())
        if shape not in sizes:
            started = time.perf_counter()
            example = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
            example = example.to(next(self.parameters()).device)
            if key not in self._graphs:
                self._graphs[key] = self.engine.convert(self._torch[0], example)
            sizes[shape] = self.engine.compile(self._graphs[key], example, self.amp)
            if len(sizes) > SIZES:
                sizes.popitem(last=False)
            self.compile_seconds += time.perf_counter() - started
        sizes.move_to_end(shape)
        return sizes[shape]

    def train(self, mode: bool = True) -> EngineNetwork:
        """See :meth:`SegmentationNetwork.train`; what belongs to no part follows."""
        self._torch[0].train(mode)
        super().train(mode)
        return self

    def _fingerprint(self) -> str:
        """Of all weights; they are looked at again only where something was written to them."""
        tensors = [*self.parameters(), *self.buffers()]
        versions = tuple(tensor._version for tensor in tensors)
        if self._weights[0] != versions:
            total = hashlib.blake2b(digest_size=16)
            for tensor in tensors:
                total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            self._weights = (versions, total.hexdigest())
        return self._weights[1]
