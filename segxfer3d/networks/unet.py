"""U-Nets in 2D and 3D whose three children are the parts that transfer: encoder, decoder, head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import CONV, Decoder, Encoder, FeatureEncoder

PARTS = ("encoder", "decoder", "head")


class SegmentationNetwork(nn.Module):
    """A network of exactly three children: ``encoder``, ``decoder`` and ``head``; gives logits.

    Attributes:
        encoder, decoder, head: the parts.
        definition: how :func:`build` makes the network again (plain values, saved with checkpoints).
        frozen: the parts that do not train.
    """

    def __init__(self, encoder: FeatureEncoder, decoder: Decoder, head: nn.Module, definition: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.definition = definition
        self.frozen: frozenset[str] = frozenset()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, out_channels, *spatial)."""
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits

    def freeze(self, parts: Iterable[str]) -> None:
        """Freeze exactly ``parts``, batch-norm statistics included, and thaw the others.

        Raises:
            InputError: a part that is none of :data:`PARTS`.
        """
        chosen = frozenset(parts)
        if unknown := sorted(chosen.difference(PARTS)):
            raise InputError(f"freeze: expected parts among {', '.join(PARTS)}, got {', '.join(unknown)}")
        self.frozen = chosen
        for part in PARTS:
            self.get_submodule(part).requires_grad_(part not in self.frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """Set the mode; frozen parts stay in evaluation mode, so that their statistics stop."""
        super().train(mode)
        for part in self.frozen:
            self.get_submodule(part).eval()
        return self


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

    Input sides have to be divisible by 2 ** (encoder stages - 1).

    Raises:
        InputError: an unknown ``spatial_dims``, ``up`` or ``skip``, or numbers of stages that do not fit.
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
        last = (decoder_stages or encoder_stages)[-1][-1]
        super().__init__(
            Encoder(spatial_dims, in_channels, encoder_stages, batch_statistics),
            Decoder(spatial_dims, channels, decoder_stages, up, skip, batch_statistics),
            CONV[spatial_dims](last, out_channels, kernel_size=1),
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
                },
            },
        )
