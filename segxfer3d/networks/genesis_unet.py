"""The 3D U-Net of Models Genesis."""

from __future__ import annotations

from segxfer3d.config import groups
from segxfer3d.config.bundles import Recipe
from segxfer3d.networks.declaration import Network
from segxfer3d.networks.deep_supervision import deep_argument
from segxfer3d.networks.unet import UNet


def genesis_unet(
    in_channels: int = 1,
    out_channels: int = 1,
    width: int = 32,
    batch_statistics: bool = False,
    *,
    deep_supervision: bool = False,
) -> UNet:
    """The 3D U-Net of Models Genesis (Zhou et al. 2021), as a segmentation network that gives logits.

    Args:
        in_channels: of the image.
        out_channels: of the output; one for each foreground class.
        width: channels of the first convolution. 32 is the published network of 19,073,665 parameters.
        batch_statistics: normalize with batch statistics in evaluation too, as the published network does.
        deep_supervision: in training, give a list of logits, at the resolution of the image and coarser ones.

    Input sides have to be divisible by 8.
    """
    w = width
    down = [[w, 2 * w], [2 * w, 4 * w], [4 * w, 8 * w], [8 * w, 16 * w]]
    up = [[8 * w, 8 * w], [4 * w, 4 * w], [2 * w, 2 * w]]
    network = UNet(
        3, in_channels, out_channels, down, up, batch_statistics=batch_statistics, deep_supervision=deep_supervision
    )
    network.definition = {
        "name": "genesis_unet",
        "arguments": {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "batch_statistics": batch_statistics,
            **deep_argument(deep_supervision),
        },
    }
    return network


NETWORK = Network(
    name="genesis_unet",
    builder=genesis_unet,
    dims=(3,),
    title="3D U-Net of Models Genesis",
    citation="Zhou et al., Models Genesis, Medical Image Analysis 67 (2021) 101840",
    options=(groups.Network, groups.GenesisNetwork),
)

RECIPE = Recipe(
    name="genesis_finetune",
    description=(
        "Fine-tune the 3D U-Net on few labels, from a pretrained start or none, and measure it on held-out patients."
    ),
    base="finetune",
    dims=3,
    differs={
        "pretrain_config": "bundles/genesis_pretrain.json",
    },
)
