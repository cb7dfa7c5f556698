"""U-Nets in 2D and 3D whose three children are the parts that transfer: encoder, decoder, head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.errors import InputError

PARTS = ("encoder", "decoder", "head")
_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm in any dimension that can keep to batch statistics in evaluation.

    The published Models Genesis network normalizes with batch statistics always; its running statistics are
    updated but never used, so a checkpoint of it has to be evaluated the same way.
    """

    def __init__(self, channels: int, batch_statistics: bool = False) -> None:
        super().__init__(channels)
        self.batch_statistics = batch_statistics

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (4, 5):
            raise ValueError(f"expected (N, C, *spatial), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *spatial) to the same shape."""
        if self.batch_statistics and not self.training:
            return F.batch_norm(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(input)


class ConvBlock(nn.Sequential):
    """Convolutions, each followed by batch norm and ReLU; ``channels`` are their output channels."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: Sequence[int],
        batch_statistics: bool,
        kernel_size: int = 3,
    ) -> None:
        layers: list[nn.Module] = []
        for out_channels in channels:
            conv = _CONV[spatial_dims](in_channels, out_channels, kernel_size, padding=kernel_size // 2)
            layers += [conv, BatchNorm(out_channels, batch_statistics), nn.ReLU(inplace=True)]
            in_channels = out_channels
        super().__init__(*layers)


class Encoder(nn.Module):
    """Stages of convolutions with 2x max pooling between them.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        stages: output channels of each convolution of each stage.
        batch_statistics: see :class:`BatchNorm`.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, stages: Sequence[Sequence[int]], batch_statistics: bool = False
    ) -> None:
        super().__init__()
        inputs = [in_channels, *(stage[-1] for stage in stages[:-1])]
        self.stages = nn.ModuleList(
            ConvBlock(spatial_dims, i, stage, batch_statistics) for i, stage in zip(inputs, stages, strict=True)
        )
        self.pool = _POOL[spatial_dims](2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, *spatial), sides divisible by 2 ** (stages - 1), to each stage's output, the finest first."""
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(self.pool(features[-1]) if features else x)
            features.append(x)
        return features


class Decoder(nn.Module):
    """Upsampling by 2, concatenation [upsampled, skip], then convolutions; stage by stage.

    Args:
        spatial_dims: 2 or 3.
        encoder_channels: output channels of the encoder's stages, the finest first.
        stages: output channels of each convolution of each stage, the coarsest first.
        up: ``transposed`` (convolution that keeps the channel count) or ``nearest``.
        skip: ``identity``, or ``conv``: a 1x1 convolution, batch norm and ReLU that keep the channel count.
        batch_statistics: see :class:`BatchNorm`.
    """

    def __init__(
        self,
        spatial_dims: int,
        encoder_channels: Sequence[int],
        stages: Sequence[Sequence[int]],
        up: str = "transposed",
        skip: str = "identity",
        batch_statistics: bool = False,
    ) -> None:
        super().__init__()
        channels = encoder_channels[-1]
        self.up = nn.ModuleList()
        self.skips = nn.ModuleList()
        self.stages = nn.ModuleList()
        for skipped, stage in zip(reversed(encoder_channels[:-1]), stages, strict=True):
            self.up.append(
                _UP[spatial_dims](channels, channels, kernel_size=2, stride=2)
                if up == "transposed"
                else nn.Upsample(scale_factor=2, mode="nearest")
            )
            self.skips.append(
                ConvBlock(spatial_dims, skipped, [skipped], batch_statistics, kernel_size=1)
                if skip == "conv"
                else nn.Identity()
            )
            self.stages.append(ConvBlock(spatial_dims, channels + skipped, stage, batch_statistics))
            channels = stage[-1]

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The encoder's features, the finest first, to (N, last stage's channels, *spatial)."""
        x = features[-1]
        finer = reversed(features[:-1])
        for up, skip, stage, feature in zip(self.up, self.skips, self.stages, finer, strict=True):
            x = stage(torch.cat([up(x), skip(feature)], dim=1))
        return x


class SegmentationNetwork(nn.Module):
    """A network of exactly three children: ``encoder``, ``decoder`` and ``head``; gives logits.

    Attributes:
        definition: how :func:`build` makes the network again (plain values, saved with checkpoints).
        frozen: the parts that do not train.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, definition: dict[str, Any]) -> None:
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
            _CONV[spatial_dims](last, out_channels, kernel_size=1),
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


_BUILDERS: dict[str, Callable[..., SegmentationNetwork]] = {"genesis_unet": genesis_unet, "unet": UNet}


def build(definition: dict[str, Any]) -> SegmentationNetwork:
    """Make a network again from its ``definition``; only networks of this package are known.

    Raises:
        InputError: an unknown name, or arguments that it does not take.
    """
    try:
        return _BUILDERS[definition["name"]](**definition["arguments"])
    except (KeyError, TypeError, RuntimeError) as error:  # torch refuses a negative width with a RuntimeError
        known = ", ".join(_BUILDERS)
        raise InputError(f"network {definition!r}: expected one of {known} with its arguments") from error
