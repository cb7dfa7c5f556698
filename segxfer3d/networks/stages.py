"""What nnU-Net's networks are made of: convolutions with a norm and leaky ReLU, in stages of any stride and kernel.

The architecture is that of Isensee et al., nnU-Net, Nature Methods 18 (2021) 203-211, and for residual blocks of
Isensee et al., nnU-Net Revisited, MICCAI 2024; names are those of its published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.networks.blocks import CONV, UP, FeatureDecoder
from segxfer3d.networks.norms import make_norm

SLOPE = 0.01  # of leaky ReLU below zero
MOST_FEATURES = {2: 512, 3: 320}
_AVERAGE: dict[int, type[nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
PerStage = Sequence[int | Sequence[int]]


@dataclass(frozen=True)
class Stages:
    """The stages of an encoder, the finest first.

    Attributes:
        features: channels of each stage.
        strides: of each stage's first convolution, one number an axis; the first are ones.
        kernels: of each stage's convolutions, one number an axis.
        stem: voxels of the image along each axis that become channels before the first stage; ones for none.
        norm: ``instance`` or ``batch``.
    """

    features: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    stem: tuple[int, ...]
    norm: str = "instance"

    @property
    def spatial_dims(self) -> int:
        """2 or 3."""
        return len(self.strides[0])

    def last(self, count: int) -> Stages:
        """The ``count`` finest stages and the one below, whose stride leads to it."""
        part = slice(0, count + 1)
        return Stages(self.features[part], self.strides[part], self.kernels[part], self.stem, self.norm)


def make_stages(
    spatial_dims: int,
    width: int,
    *,
    features: Sequence[int] | None = None,
    strides: PerStage | None = None,
    kernels: PerStage | None = None,
    stem: Sequence[int] | int | None = None,
    norm: str = "instance",
) -> Stages:
    """Stages from what is given; what is None, or empty, is filled in.

    Args:
        spatial_dims: 2 or 3.
        width: channels of the finest stage, doubled from stage to stage up to 320 (512 in 2D), as nnU-Net does.
        features: channels of each stage instead, the finest first.
        strides: of each stage, a number or one for each axis; 1 and then 2.
        kernels: of each stage, likewise; 3.
        stem: voxels of the image that become channels before the first stage, a number or one for each axis; 1, for
            none.
        norm: ``instance`` or ``batch``.

    The number of stages is that of the first of the three that is given; four otherwise.

    Raises:
        InputError: numbers of stages or of axes that do not fit, fewer than two stages, a first stride that is not 1,
            an even kernel, or any number below 1.
    """
    if spatial_dims not in (2, 3):
        raise InputError(f"spatial_dims: expected 2 or 3, got {spatial_dims!r}")
    given = {"features": features, "strides": strides, "kernels": kernels}
    count = next((len(values) for values in given.values() if values), 4)
    if count < 2:
        raise InputError(f"features, strides, kernels: expected at least two stages, got {count}")
    most = MOST_FEATURES[spatial_dims]
    channels = list(features or [min(width * 2**i, max(width, most)) for i in range(count)])
    sides = _per_axis("strides", strides or [1] + [2] * (count - 1), count, spatial_dims)
    kernel_sides = _per_axis("kernels", kernels or [3] * count, count, spatial_dims)
    if any(not isinstance(number, int) or number < 1 for number in channels):
        raise InputError(f"features: expected numbers of channels of 1 or more, got {channels}")
    if any(side != 1 for side in sides[0]):
        raise InputError(f"strides: expected 1 along every axis of the first stage, got {list(sides[0])}")
    if any(side % 2 == 0 for kernel in kernel_sides for side in kernel):
        raise InputError(f"kernels: expected odd numbers, got {[list(kernel) for kernel in kernel_sides]}")
    return Stages(tuple(channels), sides, kernel_sides, _stem(stem, spatial_dims), norm)


def _stem(stem: Sequence[int] | int | None, spatial_dims: int) -> tuple[int, ...]:
    """One number an axis."""
    along = (stem,) * spatial_dims if isinstance(stem, int) else tuple(stem or (1,) * spatial_dims)
    if len(along) != spatial_dims or any(not isinstance(side, int) or side < 1 for side in along):
        raise InputError(f"stem: expected a number or {spatial_dims}, 1 or more, got {stem!r}")
    return along


def _per_axis(name: str, values: PerStage, count: int, spatial_dims: int) -> tuple[tuple[int, ...], ...]:
    """One number an axis for each stage."""
    if len(values) != count:
        raise InputError(f"{name}: expected {count} stages as the others have, got {len(values)}")
    stages = tuple((value,) * spatial_dims if isinstance(value, int) else tuple(value) for value in values)
    if any(len(stage) != spatial_dims or any(side < 1 for side in stage) for stage in stages):
        raise InputError(f"{name}: expected for each stage a number or {spatial_dims}, 1 or more, got {list(values)}")
    return stages


def he(conv: nn.Module) -> nn.Module:
    """A convolution drawn as He et al. 2015 do for leaky ReLU, its bias 0."""
    for name, parameter in conv.named_parameters():
        if name == "weight":
            nn.init.kaiming_normal_(parameter, a=SLOPE)
        else:
            nn.init.zeros_(parameter)
    return conv


class ConvLayer(nn.Module):
    """A convolution, a norm and leaky ReLU.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: one number an axis, odd.
        stride: one number an axis.
        norm: ``instance`` or ``batch``.
        bias: whether the convolution has one. The norm takes it away again; published weights have it.
        active: whether leaky ReLU follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        norm: str = "instance",
        bias: bool = True,
        active: bool = True,
    ) -> None:
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        make = CONV[len(kernel)]
        self.conv = he(make(in_channels, out_channels, tuple(kernel), tuple(stride), padding, bias=bias))
        self.norm = make_norm(norm, out_channels, SLOPE if active else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *spatial) to (N, out_channels, *spatial / stride)."""
        output: Tensor = self.norm(self.conv(x))
        return output


class ConvStack(nn.Module):
    """``count`` layers of one kernel, the first with the stride."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        count: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        norm: str = "instance",
    ) -> None:
        super().__init__()
        ones = [1] * len(kernel)
        inputs = [in_channels, *([out_channels] * (count - 1))]
        steps = [stride, *([ones] * (count - 1))]
        self.convs = nn.Sequential(
            *(
                ConvLayer(i, out_channels, kernel=kernel, stride=s, norm=norm)
                for i, s in zip(inputs, steps, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *spatial) to (N, out_channels, *spatial / stride)."""
        output: Tensor = self.convs(x)
        return output


class ResidualBlock(nn.Module):
    """Two layers, added to their input; leaky ReLU follows the sum.

    Where the resolution changes the input is averaged, where the channels change it passes a 1x1 convolution and a norm
    (ResNet-D, He et al. 2019, Bag of Tricks).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        norm: str = "instance",
    ) -> None:
        super().__init__()
        ones = [1] * len(kernel)
        self.conv1 = ConvLayer(in_channels, out_channels, kernel=kernel, stride=stride, norm=norm)
        self.conv2 = ConvLayer(out_channels, out_channels, kernel=kernel, stride=ones, norm=norm, active=False)
        nn.init.zeros_(self.conv2.get_parameter("norm.weight"))  # each block starts as its skip
        skip: list[nn.Module] = []
        if any(side != 1 for side in stride):
            skip.append(_AVERAGE[len(kernel)](tuple(stride), tuple(stride)))
        if in_channels != out_channels:
            layer = ConvLayer(in_channels, out_channels, kernel=ones, stride=ones, norm=norm, bias=False, active=False)
            skip.append(layer)
        self.skip = nn.Sequential(*skip)
        self.slope = SLOPE  # TorchScript knows no global numbers

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, *spatial) to (N, out_channels, *spatial / stride)."""
        return F.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), self.slope, inplace=True)


class StagedDecoder(FeatureDecoder):
    """Transposed convolutions that undo the encoder's strides, concatenation [upsampled, skip], then layers.

    Args:
        stages: of the encoder.
        layers: how many each stage has.
    """

    def __init__(self, stages: Stages, layers: int) -> None:
        dims, features = stages.spatial_dims, stages.features
        super().__init__(dims, features, features[-2::-1], stages.stem)
        self._definition = (stages, layers)
        self.transpconvs = nn.ModuleList()
        self.stages = nn.ModuleList()
        for i in range(len(features) - 2, -1, -1):
            stride, ones = stages.strides[i + 1], (1,) * dims
            self.transpconvs.append(he(UP[dims](features[i + 1], features[i], kernel_size=stride, stride=stride)))
            kernel = stages.kernels[i]
            stack = ConvStack(2 * features[i], features[i], layers, kernel=kernel, stride=ones, norm=stages.norm)
            self.stages.append(stack)

    def run(self, x: Tensor, features: list[Tensor], start: int, stop: int) -> Tensor:
        """See :meth:`FeatureDecoder.run`."""
        for i, (up, stage) in enumerate(zip(self.transpconvs, self.stages)):  # noqa: B905
            if start <= i < stop:
                x = stage(torch.cat([up(x), features[-2 - i]], dim=1))
        return x

    def last_stages(self, count: int) -> StagedDecoder:
        """See :meth:`FeatureDecoder.last_stages`."""
        stages, layers = self._definition
        return StagedDecoder(stages.last(count), layers)
