"""Whether a network takes images of a size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from segxfer3d.errors import InputError
from segxfer3d.networks.norms import InstanceNorm
from segxfer3d.networks.parts import SegmentationNetwork


def refuse_size(network: SegmentationNetwork, size: Sequence[int], option: str = "patch_size") -> None:
    """Refuse a size of images that a network cannot take, naming the next ones that it can.

    Args:
        network: that sees the images.
        size: sides in pixels or voxels.
        option: that says the size, for the message.

    Raises:
        InputError: not one side for each dimension, a side that the network's strides do not divide, or sides so short
            that the coarsest feature of a network with instance norm is a single voxel.
    """
    divisors = network.encoder.divisors
    if len(size) != len(divisors):
        raise InputError(f"{option} {_written(size)}: expected {len(divisors)} sides")
    coarsest = math.prod(side // divisor for side, divisor in zip(size, divisors, strict=True))
    single = coarsest == 1 and any(isinstance(module, InstanceNorm) for module in network.modules())
    if all(side % divisor == 0 and side > 0 for side, divisor in zip(size, divisors, strict=True)) and not single:
        return
    smaller = [side // divisor * divisor for side, divisor in zip(size, divisors, strict=True)]
    larger = [math.ceil(side / divisor) * divisor for side, divisor in zip(size, divisors, strict=True)]
    if single:
        larger = [2 * side for side in size]
        why = "is one voxel after the strides of the network, where instance norm needs more"
    else:
        by = "the stem and the strides" if max(network.encoder.stem_stride) > 1 else "the strides"
        why = f"does not divide by {by} of the network, {_written(divisors)}"
    usable = [smaller] if min(smaller) > 0 and not single else []
    raise InputError(f"{option} {_written(size)}: {why}; next sizes: {' or '.join(map(_written, [*usable, larger]))}")


def _written(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
