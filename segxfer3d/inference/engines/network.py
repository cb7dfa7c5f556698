"""A network that an engine computes, in the place of the network itself."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import NetworkForward


class EngineNetwork(SegmentationNetwork):
    """The parts of a network, whose logits an engine computes.

    It is compiled when it first sees windows of a size, once for each size and for all weights that are read into it;
    all that is compiled stays in memory. Precision and memory layout
    are the engine's business, so that whoever applies it leaves both alone (``amp`` and ``channels_last`` off).

    Args:
        network: in evaluation mode, on its device; it goes on sharing its weights.
        engine: None for torch.
        amp: compute in the engine's precision of 16 bits, where it has one.
        channels_last: of torch.

    Attributes:
        compile_seconds: that compiling took in all.
    """

    def __init__(
        self, network: SegmentationNetwork, engine: Engine | None, *, amp: bool, channels_last: bool = True
    ) -> None:
        super().__init__(network.encoder, network.decoder, network.head, network.definition)
        self._torch = (network,)  # in a tuple: its tensors are those of the parts
        self.engine = engine
        self.amp = amp
        self.channels_last = channels_last
        self.compile_seconds = 0.0
        self._compiled: dict[tuple[object, ...], Forward] = {}
        self._weights: tuple[tuple[int, ...], str] = ((), "")
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) float32 to logits (N, out_channels, *spatial) float32."""
        if self.engine is None:
            return self.by_torch(x)
        return self.compiled(tuple(x.shape[1:]))(x)

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
        self.engine = engine

    def follow(self, other: EngineNetwork) -> None:
        """Compute as another one does, and share what either compiles."""
        self.engine = other.engine
        self._compiled = other._compiled

    def forget_others(self) -> None:
        """Let go of what other engines than this one have compiled."""
        name = self.engine.name if self.engine else ""
        self._compiled = {key: forward for key, forward in self._compiled.items() if key[0] == name}

    def compiled(self, shape: Sequence[int]) -> Forward:
        """What the engine makes of the weights that there are, for windows (C, *spatial).

        Raises:
            Exception: whatever the engine raises for a network that it cannot take.
        """
        assert self.engine is not None
        key = (self.engine.name, *shape, self._fingerprint())
        if key not in self._compiled:
            started = time.perf_counter()
            example = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
            device = next(self.parameters()).device
            self._compiled[key] = self.engine.compile(self._torch[0], example.to(device), self.amp)
            self.compile_seconds += time.perf_counter() - started
        return self._compiled[key]

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
