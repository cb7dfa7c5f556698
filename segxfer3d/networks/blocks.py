"""What the U-Nets are made of, in 2D and 3D: convolution blocks, the encoder, the decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from segxfer3d.networks.norms import BatchNorm


class Conv3d(nn.Conv3d):
    """3D convolution whose gradients hold on CPUs with bfloat16 instructions.

    There oneDNN 3.12 (torch 2.13) leaves parts of the bfloat16 weight gradient unset, values up to 1e38, when the
    first spatial side is longer than 1 and shorter than the kernel. Such small inputs are computed in float32.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, *spatial) to (N, out_channels, *spatial)."""
        # TorchScript knows neither the question nor the context
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            autocast = torch.is_autocast_enabled("cpu") and input.device.type == "cpu"
            if autocast and 1 < input.shape[2] < self.kernel_size[0]:
                with torch.autocast("cpu", enabled=False):
                    exact: Tensor = self._conv_forward(input.float(), self.weight, self.bias)
                    return exact
        output: Tensor = self._conv_forward(input, self.weight, self.bias)
        return output


CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: Conv3d}
UP: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


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
            conv = CONV[spatial_dims](in_channels, out_channels, kernel_size, padding=kernel_size // 2)
            layers += [conv, BatchNorm(out_channels, batch_statistics), nn.ReLU(inplace=True)]
            in_channels = out_channels
        super().__init__(*layers)


class FeatureEncoder(nn.Module):
    """What an encoder of a :class:`~segxfer3d.networks.parts.SegmentationNetwork` is: images to features.

    ``forward`` takes (N, in_channels, *spatial) and gives a list of features, the finest first; the first has the
    resolution of the image divided by ``stem_stride``, each other that of the one before it divided by its strides.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        channels: of each feature, the finest first.
        strides: of each feature, one number an axis; the first are ones.
        stem_stride: voxels of the image along each axis for one of the finest feature; ones for most networks.
        divisors: what each side of images has to be divisible by, so that every feature has whole sides.
        divisor: one number for all sides.
        last_layer: path of the module that gives the last feature, for Grad-CAM; empty where none is named.

    Args:
        strides: None for the half of the one before, along every axis.
        stem_stride: None for ones.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        channels: Sequence[int],
        last_layer: str = "",
        strides: Sequence[Sequence[int]] | None = None,
        stem_stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.channels = tuple(channels)
        halves = [[1] * spatial_dims, *([2] * spatial_dims for _ in self.channels[1:])]
        self.strides = tuple(tuple(stride) for stride in strides or halves)
        self.stem_stride = list(stem_stride or [1] * spatial_dims)  # a list for TorchScript
        self.divisors = tuple(math.prod(along) for along in zip(self.stem_stride, *self.strides, strict=True))
        self.divisor = math.lcm(*self.divisors)
        self.last_layer = last_layer


class Encoder(FeatureEncoder):
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
        channels = [stage[-1] for stage in stages]
        super().__init__(spatial_dims, in_channels, channels, last_layer=f"stages.{len(stages) - 1}")
        inputs = [in_channels, *(stage[-1] for stage in stages[:-1])]
        self.stages = nn.ModuleList(
            ConvBlock(spatial_dims, i, stage, batch_statistics) for i, stage in zip(inputs, stages, strict=True)
        )
        self.pool = _POOL[spatial_dims](2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, *spatial), sides divisible by 2 ** (stages - 1), to each stage's output, the finest first."""
        features: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            x = stage(x if i == 0 else self.pool(x))
            features.append(x)
        return features


class FeatureDecoder(nn.Module):
    """What a decoder is: features, the finest first, to one feature at the resolution of the finest, stage by stage.

    Attributes:
        spatial_dims: 2 or 3.
        encoder_channels: of the encoder's features, the finest first.
        channels: of the output of each stage, behind those of the encoder's coarsest feature.
        stem_stride: of the encoder, by which heads bring their output to the resolution of the image.
        stages: one module a stage, the coarsest first.
    """

    if TYPE_CHECKING:  # as an annotation at run time it would stop TorchScript
        stages: nn.ModuleList

    def __init__(
        self,
        spatial_dims: int,
        encoder_channels: Sequence[int],
        channels: Sequence[int],
        stem_stride: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.encoder_channels = tuple(encoder_channels)
        self.channels = (encoder_channels[-1], *channels)
        self.stem_stride = list(stem_stride or [1] * spatial_dims)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, the finest first, to (N, last stage's channels, *spatial of the finest)."""
        return self.run(features[-1], features, 0, len(self.stages))

    def run(self, x: Tensor, features: list[Tensor], start: int, stop: int) -> Tensor:
        """Only the stages from ``start`` up to ``stop``.

        Args:
            x: the output of stage ``start - 1``, or the coarsest feature for stage 0.
            features: all of the encoder's features, the finest first.
            start: first stage that runs, 0 being the coarsest.
            stop: stage before which it stops.
        """
        raise NotImplementedError

    def last_stages(self, count: int) -> FeatureDecoder:
        """A new, randomly initialized decoder like the last ``count`` stages of this one, skip connections included.

        Its features are the ``count`` finest ones of the encoder and the output of this decoder's stage before.
        """
        raise NotImplementedError

    def levels(self, features: list[Tensor], count: int) -> list[Tensor]:
        """The outputs of the last ``count`` stages, the finest first, each at its own resolution."""
        stages = len(self.stages)
        x = self.run(features[-1], features, 0, stages - count + 1)
        outputs = [x]
        for stage in range(stages - count + 1, stages):
            x = self.run(x, features, stage, stage + 1)
            outputs.insert(0, x)
        return outputs


class Decoder(FeatureDecoder):
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
        super().__init__(spatial_dims, encoder_channels, [stage[-1] for stage in stages])
        self._stages = [list(stage) for stage in stages]
        self._options = (up, skip, batch_statistics)
        channels = encoder_channels[-1]
        self.up = nn.ModuleList()
        self.skips = nn.ModuleList()
        self.stages = nn.ModuleList()
        for skipped, stage in zip(reversed(encoder_channels[:-1]), stages, strict=True):
            self.up.append(
                UP[spatial_dims](channels, channels, kernel_size=2, stride=2)
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

    def run(self, x: Tensor, features: list[Tensor], start: int, stop: int) -> Tensor:
        """See :meth:`FeatureDecoder.run`."""
        # a loop over modules, not over numbers, which TorchScript could not unroll
        for i, (up, skip, stage) in enumerate(zip(self.up, self.skips, self.stages)):  # noqa: B905
            if start <= i < stop:
                x = stage(torch.cat([up(x), skip(features[-2 - i])], dim=1))
        return x

    def last_stages(self, count: int) -> Decoder:
        """See :meth:`FeatureDecoder.last_stages`."""
        first = len(self.stages) - count
        channels = [*self.encoder_channels[:count], self.channels[first]]
        up, skip, batch_statistics = self._options
        return Decoder(self.spatial_dims, channels, self._stages[first:], up, skip, batch_statistics)
