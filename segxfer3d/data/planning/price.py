"""What a training step of a U-Net costs: memory in bytes, and time in voxels of a reference network.

Both are simple models, measured for this project's ``plain_unet`` and ``resenc_unet`` with instance norm, deep
supervision, dice with cross-entropy and AdamW, in float32 on one thread of an AVX-512 core with torch 2.13, widths 8 to
32, patches 32x32x16 to 40x56x40: the peak of memory was 0.77 to 1 times what is said here (without a stem), the time of
a step 0.83 to 1.25 times, of features 8, 16, 32 behind a stem 1.5 times. Of a GPU nothing was measured: the memory of
mixed precision is nnU-Net's own calibration, 2 patches of 560 million values in 8 GB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from segxfer3d.data.planning.topology import NO_STEM, Topology, Triple

# convolutions of a level of the encoder, by level (the last for all below), and of the decoder
CONVOLUTIONS = {
    "plain_unet": ((2,), 2),
    "resenc_unet": ((3, 6, 8, 12), 1),  # a stem; two in each of 1, 3, 4, 6, 6, ... residual blocks
}

# measured, in bytes: a value of a feature map with its gradient and the norm's; a voxel of input, logits and loss
_FLOAT_VALUE, _MIXED_VALUE = 12.0, 8e9 / (2 * 560e6)
_VOXEL = 300.0
_WEIGHT = 16.0  # itself, its gradient and two moments, 4 bytes each
_FIXED = 32 * 2**20

# measured: shares of the time of the reference network that grow with its values and with its multiplications
_VALUES_SHARE, _PRODUCTS_SHARE = 0.7, 0.3
REFERENCE_FEATURES = (8, 16, 32, 64)
REFERENCE_PATCH: Triple = (32, 32, 16)
REFERENCE_STRIDES: tuple[Triple, ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1))  # as its patch allows
REFERENCE_BATCH = 4


@dataclass(frozen=True)
class Step:
    """One patch through a network, forward and back.

    Attributes:
        voxels: of the patch.
        values: of all feature maps, as nnU-Net counts them: what convolutions put out.
        products: multiplications of the convolutions, forward.
        weights: of the network.
    """

    voxels: int
    values: int
    products: int
    weights: int

    def memory(self, batch: int, *, amp: bool) -> float:
        """Bytes that training with a batch takes."""
        value = _MIXED_VALUE if amp else _FLOAT_VALUE
        return _FIXED + _WEIGHT * self.weights + batch * (value * self.values + _VOXEL * self.voxels)

    def most(self, room: float, *, amp: bool) -> int:
        """The largest batch that fits in so many bytes; 0 or less where none does."""
        none, one = (self.memory(batch, amp=amp) for batch in (0, 1))
        return int((room - none) / (one - none))

    @property
    def price(self) -> float:
        """Voxels of the reference network that take as long."""
        reference = _reference()
        values, products = self.values / reference.values, self.products / reference.products
        return reference.voxels * (_VALUES_SHARE * values + _PRODUCTS_SHARE * products)


def count_step(
    patch: Sequence[int],
    topology: Topology,
    *,
    features: Sequence[int],
    network: str = "plain_unet",
    channels: int = 1,
    classes: int = 1,
) -> Step:
    """Count what a patch costs.

    Args:
        patch: voxels of its sides.
        topology: of the network.
        features: of each level.
        network: one of :data:`CONVOLUTIONS`; any other counts as ``plain_unet``.
        channels: of the image.
        classes: of the foreground; the background is one more channel of the output.
    """
    encoder, decoder = CONVOLUTIONS.get(network, CONVOLUTIONS["plain_unet"])
    sizes = [math.prod(size) for size in topology.sizes(patch)]
    values = products = weights = 0
    # behind a stem the image and the heads' outputs have its voxels as channels
    places = math.prod(topology.stem)
    before, outputs = channels * places, (classes + 1) * places
    for level, (width, size, kernel) in enumerate(zip(features, sizes, topology.kernels, strict=True)):
        count, taps = encoder[min(level, len(encoder) - 1)], math.prod(kernel)
        inner = width * taps * (before + (count - 1) * width)
        values += count * width * size
        products, weights = products + inner * size, weights + inner
        before = width
    for level in range(len(features) - 1):
        width, below, size = features[level], features[level + 1], sizes[level]
        up, head = below * width * math.prod(topology.strides[level + 1]), width * outputs
        inner = width * math.prod(topology.kernels[level]) * (2 * width + (decoder - 1) * width)
        values += ((decoder + 1) * width + outputs) * size
        products += (inner + head) * size + up * sizes[level + 1]
        weights += inner + head + up
    return Step(math.prod(patch), values, products, weights)


def small_price(*, stem: bool, network: str = "plain_unet", channels: int = 1, classes: int = 1) -> float:
    """Voxels of the reference network that a small step takes as long as: 4 patches of 32x32x16.

    Args:
        stem: of features 16, 32, 64 behind a stem of 2; without, of 8, 16, 32, 64 as the reference has them.
        network: see :func:`count_step`, for this and the next.
        channels: of the image.
        classes: of the foreground.
    """
    strides, folds = ((NO_STEM, *REFERENCE_STRIDES[2:]), (2, 2, 2)) if stem else (REFERENCE_STRIDES, NO_STEM)
    features = [2 * width for width in REFERENCE_FEATURES[:-1]] if stem else REFERENCE_FEATURES
    topology = Topology(strides, ((3, 3, 3),) * len(strides), folds)
    step = count_step(REFERENCE_PATCH, topology, features=features, network=network, channels=channels, classes=classes)
    return REFERENCE_BATCH * step.price


@lru_cache(maxsize=1)
def _reference() -> Step:
    topology = Topology(REFERENCE_STRIDES, ((3, 3, 3),) * len(REFERENCE_STRIDES))
    return count_step(REFERENCE_PATCH, topology, features=REFERENCE_FEATURES)
