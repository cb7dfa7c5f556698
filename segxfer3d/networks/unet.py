"""A U-Net in 2D and 3D of any stages; the networks of the papers are made of it."""

from __future__ import annotations

from collections.abc import Sequence

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import Decoder, Encoder
from segxfer3d.networks.declaration import Network
from segxfer3d.networks.deep_supervision import deep_argument, make_head
from segxfer3d.networks.parts import SegmentationNetwork


class UNet(SegmentationNetwork):
    """A U-Net in 2D or 3D of :class:`Encoder`, :class:`Decoder` and a 1x1 convolution; see there.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        out_channels: of the output; one for each foreground class.
        encoder_stages: output channels of each convolution of each stage, the finest first.
        decoder_stages: the same for the decoder, the coarsest first; one stage less than the encoder's.
        up: ``transposed`` or ``nearest``.
        skip: ``identity`` or ``conv``.
        batch_statistics: normalize with batch statistics in evaluation too.
        deep_supervision: in training, give a list of logits, at the resolution of the image and coarser ones.

    Input sides have to be divisible by 2 ** (encoder stages - 1).

    Raises:
        InputError: an unknown ``spatial_dims``, ``up`` or ``skip``, numbers of stages that do not fit, or deep
            supervision of a decoder of one stage.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        encoder_stages: Sequence[Sequence[int]],
        decoder_stages: Sequence[Sequence[int]],
        up: str = "transposed",
        skip: str = "identity",
        batch_statistics: bool = False,
        *,
        deep_supervision: bool = False,
    ) -> None:
        choices = {"spatial_dims": (2, 3), "up": ("transposed", "nearest"), "skip": ("identity", "conv")}
        for knob, value in {"spatial_dims": spatial_dims, "up": up, "skip": skip}.items():
            if value not in choices[knob]:
                raise InputError(f"{knob}: expected one of {choices[knob]}, got {value!r}")
        if len(decoder_stages) != len(encoder_stages) - 1:
            raise InputError(
                f"decoder_stages: expected one stage less than the encoder's {len(encoder_stages)}, "
                f"got {len(decoder_stages)}"
            )
        channels = [stage[-1] for stage in encoder_stages]
        encoder = Encoder(spatial_dims, in_channels, encoder_stages, batch_statistics)
        decoder = Decoder(spatial_dims, channels, decoder_stages, up, skip, batch_statistics)
        super().__init__(
            encoder,
            decoder,
            make_head(decoder, out_channels, deep_supervision),
            {
                "name": "unet",
                "arguments": {
                    "spatial_dims": spatial_dims,
                    "in_channels": in_channels,
                    "out_channels": out_channels,
                    "encoder_stages": [list(stage) for stage in encoder_stages],
                    "decoder_stages": [list(stage) for stage in decoder_stages],
                    "up": up,
                    "skip": skip,
                    "batch_statistics": batch_statistics,
                    **deep_argument(deep_supervision),
                },
            },
        )


NETWORK = Network(
    name="unet",
    builder=UNet,
    dims=(2, 3),
    title="U-Net of any stages",
    citation="Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015",
)
