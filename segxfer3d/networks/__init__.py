"""Networks whose children are the parts that transfer; each one's builder is here under its name."""

from segxfer3d.networks.conrec_unet import conrec_unet
from segxfer3d.networks.genesis_unet import genesis_unet
from segxfer3d.networks.imagenet_unet import imagenet_unet
from segxfer3d.networks.named import BUILDERS, build, image_unet, make_network
from segxfer3d.networks.parts import PARTS, SegmentationNetwork, with_parts
from segxfer3d.networks.plain_unet import plain_unet
from segxfer3d.networks.resenc_unet import resenc_unet
from segxfer3d.networks.sizes import refuse_size
from segxfer3d.networks.unet import UNet

__all__ = [
    "PARTS",
    "SegmentationNetwork",
    "UNet",
    "build",
    "conrec_unet",
    "genesis_unet",
    "image_unet",
    "imagenet_unet",
    "make_network",
    "plain_unet",
    "refuse_size",
    "resenc_unet",
    "with_parts",
]

# A builder often has the name of its file: here it is the builder, for bundles (`segxfer3d.networks.NAME`). The file is
# imported as any other (`from segxfer3d.networks.NAME import ...`). `unet` is the file alone: its network is UNet.
globals().update({name: builder for name, builder in BUILDERS.items() if name != "unet"})
