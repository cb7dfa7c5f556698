"""Networks whose children are the parts that transfer."""

from segxfer3d.networks.unet import PARTS, SegmentationNetwork, UNet, build, genesis_unet

__all__ = ["PARTS", "SegmentationNetwork", "UNet", "build", "genesis_unet"]
