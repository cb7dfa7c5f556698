"""The networks of the papers by name, and how a network is made again from what its checkpoint says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segxfer3d.errors import InputError
from segxfer3d.networks.imagenet import imagenet_unet
from segxfer3d.networks.unet import SegmentationNetwork, UNet


def genesis_unet(in_channels: int = 1, out_channels: int = 1, width: int = 32, batch_statistics: bool = False) -> UNet:
    """The 3D U-Net of Models Genesis (Zhou et al. 2021), as a segmentation network that gives logits.

    Args:
        in_channels: of the image.
        out_channels: of the output; one for each foreground class.
        width: channels of the first convolution. 32 is the published network of 19,073,665 parameters.
        batch_statistics: normalize with batch statistics in evaluation too, as the published network does.

    Input sides have to be divisible by 8.
    """
    w = width
    down = [[w, 2 * w], [2 * w, 4 * w], [4 * w, 8 * w], [8 * w, 16 * w]]
    up = [[8 * w, 8 * w], [4 * w, 4 * w], [2 * w, 2 * w]]
    network = UNet(3, in_channels, out_channels, down, up, batch_statistics=batch_statistics)
    network.definition = {
        "name": "genesis_unet",
        "arguments": {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "batch_statistics": batch_statistics,
        },
    }
    return network


def conrec_unet(in_channels: int = 3, out_channels: int = 1, width: int = 64, spatial_dims: int = 2) -> UNet:
    """The U-Net of ConRec (Dippel et al. 2021; arXiv 2207.14508 for segmentation), as a network that gives logits.

    Four encoder stages of two convolutions, nearest-neighbor upsampling, and a 1x1 convolution with batch norm and
    ReLU in each skip connection. The papers' network is the 2D one with width 64 and one output: 7,875,905
    parameters. With the means and variances of its batch norms these are 7,882,433 values, the count that TensorFlow
    gives; the state dict here holds one more integer for each of the 17 batch norms (``num_batches_tracked``),
    which neither count includes.

    Args:
        in_channels: of the image.
        out_channels: of the output; one for each foreground class, or the image's for reconstruction.
        width: channels of the finest stage, doubled from stage to stage.
        spatial_dims: 2, or 3 for the same design in volumes (the papers have 2D only).

    Input sides have to be divisible by 8.
    """
    down = [[width * 2**i] * 2 for i in range(4)]
    network = UNet(spatial_dims, in_channels, out_channels, down, down[-2::-1], up="nearest", skip="conv")
    network.definition = {
        "name": "conrec_unet",
        "arguments": {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "spatial_dims": spatial_dims,
        },
    }
    return network


def image_unet(
    backbone: str = "conrec", in_channels: int = 3, out_channels: int = 1, width: int = 64
) -> SegmentationNetwork:
    """A 2D U-Net by the name of its encoder, as the bundles' knob ``backbone`` spells it.

    Args:
        backbone: ``conrec`` for :func:`conrec_unet`, or one of :func:`~segxfer3d.networks.imagenet.imagenet_unet`.
        in_channels: of the image.
        out_channels: of the output.
        width: of ``conrec``; the others have one width only.

    Raises:
        InputError: an unknown ``backbone``.
    """
    if backbone == "conrec":
        return conrec_unet(in_channels, out_channels, width)
    return imagenet_unet(backbone, in_channels, out_channels)


# name in a definition -> what makes the network from the arguments there
BUILDERS: dict[str, Callable[..., SegmentationNetwork]] = {
    "conrec_unet": conrec_unet,
    "genesis_unet": genesis_unet,
    "imagenet_unet": imagenet_unet,
    "unet": UNet,
}


def build(definition: dict[str, Any]) -> SegmentationNetwork:
    """Make a network again from its ``definition``; only networks of this package are known.

    Raises:
        InputError: an unknown name, or arguments that it does not take.
    """
    try:
        return BUILDERS[definition["name"]](**definition["arguments"])
    except (KeyError, TypeError, RuntimeError) as error:  # torch refuses a negative width with a RuntimeError
        known = ", ".join(BUILDERS)
        raise InputError(f"network {definition!r}: expected one of {known} with its arguments") from error
