"""Networks whose children are the parts that transfer."""

from segxfer3d.networks.imagenet import imagenet_unet
from segxfer3d.networks.named import build, conrec_unet, genesis_unet, image_unet
from segxfer3d.networks.unet import PARTS, SegmentationNetwork, UNet

__all__ = [
    "PARTS",
    "SegmentationNetwork",
    "UNet",
    "build",
    "conrec_unet",
    "genesis_unet",
    "image_unet",
    "imagenet_unet",
]
