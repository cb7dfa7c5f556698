"""What a network says about the windows that it may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from segxfer3d.networks.forward import unwrap
from segxfer3d.networks.norms import InstanceNorm
from segxfer3d.networks.parts import SegmentationNetwork


class Needs(NamedTuple):
    """What is known of a network.

    Attributes:
        divisors: of the sides of its images; empty where they are not known.
        of_batch: its outputs depend on the other windows of a batch.
        least: divisors that a side has at least.
    """

    divisors: tuple[int, ...] = ()
    of_batch: bool = False
    least: int = 1


def needs_of(network: Callable[..., Any]) -> Needs:
    """What a network needs of windows; of what is no network of this package nothing is known."""
    inner = unwrap(network) if isinstance(network, nn.Module) else network
    if not isinstance(inner, SegmentationNetwork):
        return Needs()
    of_batch = any(getattr(module, "batch_statistics", False) for module in inner.modules())
    by_window = any(isinstance(module, InstanceNorm) for module in inner.modules())
    return Needs(inner.encoder.divisors, of_batch, 2 if by_window else 1)
