"""A U-Net on a residual encoder whose published weights were trained on ImageNet (ResNet-18, -34 or -50)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from segxfer3d.config import groups
from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import Decoder, FeatureEncoder
from segxfer3d.networks.declaration import Builder, Network
from segxfer3d.networks.parts import SegmentationNetwork

# backbone -> MONAI's block, blocks in each of the four layers, channels of stem and layers
_BACKBONES: dict[str, tuple[str, list[int], tuple[int, ...]]] = {
    "resnet18": ("basic", [2, 2, 2, 2], (64, 64, 128, 256, 512)),
    "resnet34": ("basic", [3, 4, 6, 3], (64, 64, 128, 256, 512)),
    "resnet50": ("bottleneck", [3, 4, 6, 3], (64, 256, 512, 1024, 2048)),
}
BACKBONES = tuple(_BACKBONES)
# of ImageNet's red, green and blue in [0, 1]: what published weights expect to be subtracted and divided by
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class ResNetEncoder(FeatureEncoder):
    """MONAI's ResNet in the layout of the published ImageNet weights, behind their input normalization.

    Mean and standard deviation are constants: buffers that are not in the state dict and not among the parameters.

    Args:
        backbone: one of :data:`BACKBONES`.
        in_channels: 3 (red, green, blue), or 1 (gray, given to all three).

    Images are in [0, 1]. The first feature is the normalized image itself, the others are the stem's and the four
    layers' outputs at 1/2 to 1/32 of the resolution.
    """

    if TYPE_CHECKING:  # as annotations at run time they would stop TorchScript
        mean: Tensor
        std: Tensor

    def __init__(self, backbone: str, in_channels: int) -> None:
        from monai.networks.nets.resnet import ResNet  # takes seconds to import

        block, layers, channels = _BACKBONES[backbone]
        super().__init__(2, in_channels, (3, *channels), last_layer="resnet.layer4")
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).reshape(1, 3, 1, 1), persistent=False)
        self.resnet = ResNet(
            block,
            layers,
            [64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, height, width) in [0, 1], sides divisible by 32, to six features, the finest first."""
        net = self.resnet
        image = (x - self.mean) / self.std
        stem = net.act(net.bn1(net.conv1(image)))
        first = net.layer1(net.maxpool(stem))
        second = net.layer2(first)
        third = net.layer3(second)
        return [image, stem, first, second, third, net.layer4(third)]


def imagenet_unet(
    backbone: str = "resnet50",
    in_channels: int = 3,
    out_channels: int = 1,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
) -> SegmentationNetwork:
    """A 2D U-Net whose encoder can take published ImageNet weights: see :mod:`segxfer3d.weights.formats.imagenet`.

    Nothing is downloaded; without weights it starts random. The decoder is no paper's: nearest-neighbor upsampling
    and two 3x3 convolutions a stage as in :func:`~segxfer3d.networks.conrec_unet`, without convolutions in the skips.

    Args:
        backbone: ``resnet18``, ``resnet34`` or ``resnet50``.
        in_channels: 3, or 1 for gray images.
        out_channels: of the output; one for each foreground class.
        decoder_channels: of the five decoder stages, the coarsest first.

    Images are in [0, 1], their sides divisible by 32.

    Raises:
        InputError: an unknown ``backbone``, other ``in_channels``, or not five ``decoder_channels``.
    """
    if backbone not in _BACKBONES:
        raise InputError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone!r}")
    if in_channels not in (1, 3):
        raise InputError(f"in_channels: ImageNet networks take 3 (or 1, gray), got {in_channels!r}")
    if len(decoder_channels) != 5:
        raise InputError(f"decoder_channels: expected five, got {len(decoder_channels)}")
    encoder = ResNetEncoder(backbone, in_channels)
    return SegmentationNetwork(
        encoder,
        Decoder(2, encoder.channels, [[c, c] for c in decoder_channels], up="nearest"),
        nn.Conv2d(decoder_channels[-1], out_channels, kernel_size=1),
        {
            "name": "imagenet_unet",
            "arguments": {
                "backbone": backbone,
                "in_channels": in_channels,
                "out_channels": out_channels,
                "decoder_channels": list(decoder_channels),
            },
        },
    )


def _of_backbone(backbone: str) -> Builder:
    """What makes the network with one backbone; these encoders have one width only."""

    def make(in_channels: int, out_channels: int, width: int) -> SegmentationNetwork:
        return imagenet_unet(backbone, in_channels, out_channels)

    return make


NETWORK = Network(
    name="imagenet_unet",
    builder=imagenet_unet,
    dims=(2,),
    title="U-Net on a ResNet with ImageNet weights",
    citation="He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
    options=(groups.Network, groups.ImageNetwork),
    backbones={backbone: _of_backbone(backbone) for backbone in BACKBONES},
)
