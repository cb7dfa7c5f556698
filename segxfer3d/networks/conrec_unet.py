"""The U-Net of ConRec."""

from __future__ import annotations

from segxfer3d.config import groups
from segxfer3d.config.bundles import Recipe
from segxfer3d.networks.declaration import Network
from segxfer3d.networks.deep_supervision import deep_argument
from segxfer3d.networks.unet import UNet


def conrec_unet(
    in_channels: int = 3,
    out_channels: int = 1,
    width: int = 64,
    spatial_dims: int = 2,
    *,
    deep_supervision: bool = False,
) -> UNet:
    """The U-Net of ConRec (Dippel et al. 2021; arXiv 2207.14508 for segmentation), as a network that gives logits.

    Four encoder stages of two convolutions, nearest-neighbor upsampling, and a 1x1 convolution with batch norm and
    ReLU in each skip connection. The papers' network is the 2D one with width 64 and one output: 7,875,905
    parameters. With the means and variances of its batch norms these are 7,882,433 values, the count that TensorFlow
    gives; the state dict here holds one more integer for each of the 17 batch norms (``num_batches_tracked``),
    which neither count includes.

    The convolutions of the skip connections belong to the decoder: a transfer of the encoder alone leaves them out. The
    paper does not say.

    Args:
        in_channels: of the image.
        out_channels: of the output; one for each foreground class, or the image's for reconstruction.
        width: channels of the finest stage, doubled from stage to stage.
        spatial_dims: 2, or 3 for the same design in volumes (the papers have 2D only).
        deep_supervision: in training, give a list of logits, at the resolution of the image and coarser ones.

    Input sides have to be divisible by 8.
    """
    down = [[width * 2**i] * 2 for i in range(4)]
    network = UNet(
        spatial_dims,
        in_channels,
        out_channels,
        down,
        down[-2::-1],
        up="nearest",
        skip="conv",
        deep_supervision=deep_supervision,
    )
    network.definition = {
        "name": "conrec_unet",
        "arguments": {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "width": width,
            "spatial_dims": spatial_dims,
            **deep_argument(deep_supervision),
        },
    }
    return network


NETWORK = Network(
    name="conrec_unet",
    builder=conrec_unet,
    dims=(2, 3),
    title="U-Net of ConRec",
    citation="Dippel et al., Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image "
    "Reconstruction and Attention-weighted Pooling, 2021",
    options=(groups.Network, groups.ImageNetwork),
    backbones={"conrec": conrec_unet},
)

RECIPE = Recipe(
    name="unet2d_finetune",
    description=(
        "Fine-tune a 2D U-Net on few labeled images, from a pretrained start or none, and measure it on all the others."
    ),
    base="finetune",
    dims=2,
    differs={
        "pretrain_config": "bundles/reconstruction_pretrain.json",
    },
)
