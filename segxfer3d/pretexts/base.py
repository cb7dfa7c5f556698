"""What a pretext is: a task that teaches a network without the target's labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from segxfer3d.networks import SegmentationNetwork


class Pretext(nn.Module, ABC):
    """A pretext: its network, its loss, and what happens after a step.

    Attributes:
        network: what will be transferred. Heads that only the pretext needs are further children.
    """

    network: SegmentationNetwork

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``{"loss": scalar to minimize, ...}`` for a batch on the network's device; further entries
        are parts of the loss, logged beside it."""

    def after_step(self) -> None:
        """Called after each optimizer step: momentum encoders, queues."""
