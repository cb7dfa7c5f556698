"""The U-Net of nnU-Net: strided convolutions, instance norm, leaky ReLU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from segxfer3d.networks.blocks import FeatureEncoder
from segxfer3d.networks.declaration import Network
from segxfer3d.networks.deep_supervision import deep_argument, make_head
from segxfer3d.networks.parts import SegmentationNetwork
from segxfer3d.networks.stages import ConvStack, PerStage, StagedDecoder, Stages, make_stages
from segxfer3d.networks.subvoxels import space_to_depth

LAYERS = 2  # of each stage, in the encoder and in the decoder


class PlainEncoder(FeatureEncoder):
    """Stages of two convolutions, the first of them with the stride.

    Args:
        in_channels: of the image.
        stages: see :class:`~segxfer3d.networks.stages.Stages`.
    """

    def __init__(self, in_channels: int, stages: Stages) -> None:
        features = stages.features
        last = f"stages.{len(features) - 1}"
        super().__init__(stages.spatial_dims, in_channels, features, last, stages.strides, stages.stem)
        inputs = [in_channels * math.prod(stages.stem), *features[:-1]]
        each = zip(inputs, features, stages.kernels, stages.strides, strict=True)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvStack(i, o, LAYERS, kernel=kernel, stride=stride, norm=stages.norm))
            for i, o, kernel, stride in each
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, *spatial), sides divisible by ``divisors``, to the features, the finest first."""
        x = space_to_depth(x, self.stem_stride)
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def unet_of_stages(
    name: str, encoder: FeatureEncoder, stages: Stages, *, layers: int, out_channels: int, deep_supervision: bool
) -> SegmentationNetwork:
    """An encoder of stages with nnU-Net's decoder and head.

    Args:
        name: of the network, in its definition.
        encoder: of the stages.
        stages: of encoder and decoder.
        layers: convolutions of each stage of the decoder.
        out_channels: of the output.
        deep_supervision: see :func:`plain_unet`.

    Raises:
        InputError: deep supervision of two stages.
    """
    decoder = StagedDecoder(stages, layers)
    head = make_head(decoder, out_channels, deep_supervision)
    arguments: dict[str, Any] = {
        "in_channels": encoder.in_channels,
        "out_channels": out_channels,
        "spatial_dims": stages.spatial_dims,
        "features": list(stages.features),
        "strides": [list(stride) for stride in stages.strides],
        "kernels": [list(kernel) for kernel in stages.kernels],
        "norm": stages.norm,
        **({"stem": list(stages.stem)} if max(stages.stem) > 1 else {}),  # earlier definitions have none
        **deep_argument(deep_supervision),
    }
    return SegmentationNetwork(encoder, decoder, head, {"name": name, "arguments": arguments})


def plain_unet(
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
    """The U-Net of nnU-Net (Isensee et al. 2021) of any stages, as a network that gives logits.

    Without ``features``, ``strides`` and ``kernels`` it has four stages of 3x3 convolutions at 1, 1/2, 1/4 and 1/8 of
    the resolution. nnU-Net's default for volumes is six, ``features=[32, 64, 128, 256, 320, 320]``: 31,195,594
    parameters with one channel, two outputs and deep supervision, 640 of them in a head of the coarsest level
    that nothing is learned from and that is left out here.

    Args:
        in_channels: of the image.
        out_channels: of the output.
        width: channels of the finest stage; see :func:`~segxfer3d.networks.stages.make_stages` for this and the next.
        spatial_dims: 2 or 3.
        features: channels of each stage, the finest first.
        strides: of each stage, a number or one for each axis.
        kernels: of each stage, likewise.
        stem: voxels along each axis that become channels of one position before the first stage, so that every stage
            works at a lower resolution; the head gives an output for each of these voxels (see
            :mod:`~segxfer3d.networks.subvoxels`). A number or one for each axis; 1 for none.
        norm: ``instance`` or ``batch``.
        deep_supervision: in training, give a list of logits, at the resolution of the image and coarser ones.

    Input sides have to be divisible by the product of the strides, times the stem.

    Raises:
        InputError: see :func:`~segxfer3d.networks.stages.make_stages`; an unknown norm; deep supervision of two stages.
    """
    stages = make_stages(spatial_dims, width, features=features, strides=strides, kernels=kernels, stem=stem, norm=norm)
    return unet_of_stages(
        "plain_unet",
        PlainEncoder(in_channels, stages),
        stages,
        layers=LAYERS,
        out_channels=out_channels,
        deep_supervision=deep_supervision,
    )


NETWORK = Network(
    name="plain_unet",
    builder=plain_unet,
    dims=(2, 3),
    title="U-Net of nnU-Net",
    citation="Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image "
    "segmentation, Nature Methods 18 (2021) 203-211",
    backbones={"plain": partial(plain_unet, spatial_dims=2)},
)
