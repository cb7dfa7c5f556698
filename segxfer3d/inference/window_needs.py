"""What a network says about the windows that it may see: their sides, their size, and what its outputs depend on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from segxfer3d.networks.forward import unwrap
from segxfer3d.networks.norms import InstanceNorm
from segxfer3d.networks.parts import SegmentationNetwork

MEMORY = 384 * 2**20  # bytes that the features of a window may take; the same on every machine, as masks should be
_FEATURES = 9  # at full size that are there at a time, in units of the finest feature: what is joined, what comes of it
_BYTES = 4  # of a value


class Needs(NamedTuple):
    """What is known of a network.

    Attributes:
        divisors: of the sides of its images; empty where they are not known.
        grows: windows may be larger than the patches of its training: no norm sees the whole window.
        of_batch: its outputs depend on the other windows of a batch.
        most: voxels of a window whose features take :data:`MEMORY`.
        least: divisors that a side has at least.
        fixed: windows have the size of the patch, for nothing else is known.
    """

    divisors: tuple[int, ...] = ()
    grows: bool = False
    of_batch: bool = False
    most: float = math.inf
    least: int = 1
    fixed: bool = False


def needs_of(network: Callable[..., Any]) -> Needs:
    """What a network needs of windows; of what is no network of this package nothing is known."""
    inner = unwrap(network) if isinstance(network, nn.Module) else network
    if not isinstance(inner, SegmentationNetwork):
        return Needs(fixed=True)
    of_batch = any(getattr(module, "batch_statistics", False) for module in inner.modules())
    by_window = any(isinstance(module, InstanceNorm) for module in inner.modules())
    most = MEMORY / (_BYTES * _FEATURES * inner.encoder.channels[0])
    grows = not of_batch and not by_window
    return Needs(inner.encoder.divisors, grows, of_batch, most, 2 if by_window else 1)
