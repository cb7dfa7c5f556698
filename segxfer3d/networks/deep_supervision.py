"""Heads: of one resolution, or of several at which the logits are told what they should be (deep supervision)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import CONV, Conv3d, FeatureDecoder
from segxfer3d.networks.subvoxels import depth_to_space

AUXILIARY = "head.auxiliary."  # how the keys of what only training asks begin


class Head2d(nn.Conv2d):
    """A 1x1 convolution, and in ``auxiliary`` those of coarser levels, which only training asks.

    Behind a stem it gives one output for each voxel that the stem brought together.

    The finest level's weights have the keys that they have without deep supervision.

    Args:
        channels: of the decoder's output at each level, the finest first.
        out_channels: of the logits.
        stem_stride: of the encoder.
    """

    def __init__(self, channels: Sequence[int], out_channels: int, stem_stride: Sequence[int]) -> None:
        super().__init__(channels[0], out_channels * math.prod(stem_stride), kernel_size=1)
        self.stem_stride = list(stem_stride)
        self.auxiliary = nn.ModuleList(Head2d([c], out_channels, stem_stride) for c in channels[1:])

    def forward(self, input: Tensor) -> Tensor:
        """(N, channels, *spatial) to (N, out_channels, *spatial * stem_stride)."""
        return depth_to_space(self._conv_forward(input, self.weight, self.bias), self.stem_stride)


class Head3d(Conv3d):
    """:class:`Head2d` for volumes."""

    def __init__(self, channels: Sequence[int], out_channels: int, stem_stride: Sequence[int]) -> None:
        super().__init__(channels[0], out_channels * math.prod(stem_stride), kernel_size=1)
        self.stem_stride = list(stem_stride)
        self.auxiliary = nn.ModuleList(Head3d([c], out_channels, stem_stride) for c in channels[1:])

    def forward(self, input: Tensor) -> Tensor:
        """See :meth:`Head2d.forward`; of a 1x1 convolution all gradients hold."""
        return depth_to_space(self._conv_forward(input, self.weight, self.bias), self.stem_stride)


def make_head(decoder: FeatureDecoder, out_channels: int, deep_supervision: bool = False) -> nn.Module:
    """A 1x1 convolution, with one for each auxiliary level where training is supervised deeply.

    Behind a stem every level's output is brought to the resolution that it has without: that of the image, its half...

    Auxiliary levels are the stages of the decoder but the finest, which has the head itself, and the coarsest, whose
    loss nnU-Net (Isensee et al. 2021) weights with 0; of two stages the coarser is one.

    Raises:
        InputError: deep supervision of a decoder of one stage.
    """
    stages = len(decoder.channels) - 1
    if deep_supervision and stages < 2:
        raise InputError(
            f"deep_supervision: needs a decoder of two stages or more, got {stages}; --deep_supervision False"
        )
    levels = max(2, stages - 1) if deep_supervision else 1
    channels, stem_stride = decoder.channels[-1 : -1 - levels : -1], decoder.stem_stride
    if levels == 1 and max(stem_stride) == 1:
        return CONV[decoder.spatial_dims](channels[0], out_channels, kernel_size=1)
    return (Head2d if decoder.spatial_dims == 2 else Head3d)(channels, out_channels, stem_stride)


def deep_argument(deep_supervision: bool) -> dict[str, bool]:
    """``deep_supervision`` for a definition: empty without, as definitions of earlier versions are."""
    return {"deep_supervision": True} if deep_supervision else {}
