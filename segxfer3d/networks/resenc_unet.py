"""The U-Net of nnU-Net with a residual encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from segxfer3d.networks.blocks import FeatureEncoder
from segxfer3d.networks.declaration import Network
from segxfer3d.networks.parts import SegmentationNetwork
from segxfer3d.networks.plain_unet import unet_of_stages
from segxfer3d.networks.stages import ConvStack, PerStage, ResidualBlock, Stages, make_stages
from segxfer3d.networks.subvoxels import space_to_depth

BLOCKS = (1, 3, 4, 6)  # of the stages; every further one has as many as the last
LAYERS = 1  # of each stage of the decoder


class _Blocks(nn.Module):
    """The blocks of a stage, the first of them with the stride."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *spatial) to (N, out_channels, *spatial / stride)."""
        output: Tensor = self.blocks(x)
        return output


class ResidualEncoder(FeatureEncoder):
    """A layer at the resolution of the finest feature, then stages of residual blocks.

    Args:
        in_channels: of the image.
        stages: see :class:`~segxfer3d.networks.stages.Stages`.
    """

    def __init__(self, in_channels: int, stages: Stages) -> None:
        features, kernels, norm = stages.features, stages.kernels, stages.norm
        last = f"stages.{len(features) - 1}"
        super().__init__(stages.spatial_dims, in_channels, features, last, stages.strides, stages.stem)
        ones = (1,) * stages.spatial_dims
        inputs = in_channels * math.prod(stages.stem)
        self.stem = ConvStack(inputs, features[0], 1, kernel=kernels[0], stride=ones, norm=norm)
        self.stages = nn.ModuleList()
        channels = features[0]
        for i, (out, kernel, stride) in enumerate(zip(features, kernels, stages.strides, strict=True)):
            count = BLOCKS[min(i, len(BLOCKS) - 1)]
            blocks = [ResidualBlock(channels, out, kernel=kernel, stride=stride, norm=norm)]
            blocks += [ResidualBlock(out, out, kernel=kernel, stride=ones, norm=norm) for _ in range(count - 1)]
            self.stages.append(_Blocks(blocks))
            channels = out

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, *spatial), sides divisible by ``divisors``, to the features, the finest first."""
        x = self.stem(space_to_depth(x, self.stem_stride))
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def resenc_unet(
    in_channels: int = 1,
    out_channels: int = 1,
    width: int = 32,
    spatial_dims: int = 3,
    *,
    features: Sequence[int] | None = None,
    strides: PerStage | None = None,
    kernels: PerStage | None = None,
    stem: Sequence[int] | int | None = None,
    norm: str = "instance",
    deep_supervision: bool = False,
) -> SegmentationNetwork:
    """nnU-Net's U-Net with a residual encoder (Isensee et al. 2024) of any stages, as a network that gives logits.

    Stages of 1, 3, 4, 6, 6, ... residual blocks, and one convolution a stage in the decoder. nnU-Net's ResEnc-L has
    ``features=[32, 64, 128, 256, 320, 320]``.

    Takes what :func:`~segxfer3d.networks.plain_unet.plain_unet` takes, and raises what it raises.
    """
    stages = make_stages(spatial_dims, width, features=features, strides=strides, kernels=kernels, stem=stem, norm=norm)
    return unet_of_stages(
        "resenc_unet",
        ResidualEncoder(in_channels, stages),
        stages,
        layers=LAYERS,
        out_channels=out_channels,
        deep_supervision=deep_supervision,
    )


NETWORK = Network(
    name="resenc_unet",
    builder=resenc_unet,
    dims=(2, 3),
    title="U-Net of nnU-Net with a residual encoder",
    citation="Isensee et al., nnU-Net Revisited: A Call for Rigorous Validation in 3D Medical Image Segmentation, "
    "MICCAI 2024",
    backbones={"resenc": partial(resenc_unet, spatial_dims=2)},
)
