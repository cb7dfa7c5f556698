"""Heads of a network that is told at several resolutions what its logits should be (deep supervision)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import CONV, Conv3d, FeatureDecoder

AUXILIARY = "head.auxiliary."  # how the keys of what only training asks begin


class DeepHead2d(nn.Conv2d):
    """The head of the finest level, and in ``auxiliary`` those of coarser ones, which only training asks.

    The finest level's weights have the keys that they have without deep supervision.

    Args:
        channels: of the decoder's output at each level, the finest first.
        out_channels: of the logits.
    """

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__(channels[0], out_channels, kernel_size=1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(c, out_channels, kernel_size=1) for c in channels[1:])


class DeepHead3d(Conv3d):
    """:class:`DeepHead2d` for volumes."""

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__(channels[0], out_channels, kernel_size=1)
        self.auxiliary = nn.ModuleList(Conv3d(c, out_channels, kernel_size=1) for c in channels[1:])


def make_head(decoder: FeatureDecoder, out_channels: int, deep_supervision: bool = False) -> nn.Module:
    """A 1x1 convolution, with one for each auxiliary level where training is supervised deeply.

    Auxiliary levels are the stages of the decoder but the finest, which has the head itself, and the coarsest, whose
    loss nnU-Net (Isensee et al. 2021) weights with 0; of two stages the coarser is one.

    Raises:
        InputError: deep supervision of a decoder of one stage.
    """
    stages = len(decoder.channels) - 1
    if not deep_supervision:
        return CONV[decoder.spatial_dims](decoder.channels[-1], out_channels, kernel_size=1)
    if stages < 2:
        raise InputError(f"deep_supervision: needs a decoder of two stages or more, got {stages}")
    channels = decoder.channels[-1 : -1 - max(2, stages - 1) : -1]
    return (DeepHead2d if decoder.spatial_dims == 2 else DeepHead3d)(channels, out_channels)


def deep_argument(deep_supervision: bool) -> dict[str, bool]:
    """``deep_supervision`` for a definition: empty without, as definitions of earlier versions are."""
    return {"deep_supervision": True} if deep_supervision else {}
