"""Instance norm and leaky ReLU in two passes over an image that lies channels last, compiled, on one core.

Numbers are float32, or bfloat16 as the uint16 of their bits; they are computed with in float32. A row is as many
positions as make 64 numbers or more: a loop over it has a sum of its own for each number, so that the processor adds as
many at once as it can.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from segxfer3d.augment.compiled import compiled

Numbers = NDArray[Any]  # float32, or uint16 for bfloat16
Floats = NDArray[np.float32]
_ROW = 64  # numbers in a row, at least
_WORD, _HALF = ir.IntType(32), ir.IntType(16)


@intrinsic
def _load(typing: Any, number: Any) -> Any:
    """A number as float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if number == types.float32:
            return values[0]
        bits = builder.shl(builder.zext(values[0], _WORD), _WORD(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(number), generate


@intrinsic
def _store(typing: Any, value: Any, like: Any) -> Any:
    """A float32 as a number like another, rounded to the nearest, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if like == types.float32:
            return values[0]
        bits = builder.bitcast(values[0], _WORD)
        odd = builder.and_(builder.lshr(bits, _WORD(16)), _WORD(1))
        bits = builder.add(bits, builder.add(odd, _WORD(0x7FFF)))
        return builder.trunc(builder.lshr(bits, _WORD(16)), _HALF)

    return like(types.float32, like), generate


@compiled
def forward(
    x: Numbers, scale: Floats, offset: Floats, y: Numbers, mean: Floats, inverse: Floats, slope: float, eps: float
) -> None:
    """Normalize images and apply leaky ReLU.

    Args:
        x: (images, positions * channels).
        scale, offset: (channels,).
        y: takes the result.
        mean, inverse: (images, channels), take the mean and 1 / the standard deviation.
        slope: of leaky ReLU below zero.
        eps: added to the variance.
    """
    channels = len(scale)
    row = channels * ((_ROW + channels - 1) // channels)
    below = np.float32(slope)
    total, squares, first = np.empty(row, np.float32), np.empty(row, np.float32), np.empty(row, np.float32)
    times, plus = np.empty(row, np.float32), np.empty(row, np.float32)
    positions = x.shape[1] // channels
    for image in range(len(x)):
        total[:] = 0
        squares[:] = 0
        for i in range(row):
            first[i] = _load(x[image, i % channels])  # near the mean, so that squares lose no digits
        for start in range(0, x.shape[1], row):
            xs = x[image, start : start + row]
            for i in range(len(xs)):
                value = _load(xs[i]) - first[i]
                total[i] += value
                squares[i] += value * value
        for channel in range(channels):
            away = total[channel::channels].astype(np.float64).sum() / positions
            variance = max(squares[channel::channels].astype(np.float64).sum() / positions - away * away, 0.0)
            mean[image, channel] = first[channel] + away
            inverse[image, channel] = 1 / np.sqrt(variance + eps)
            times[channel::channels] = scale[channel] * inverse[image, channel]
            plus[channel::channels] = offset[channel] - mean[image, channel] * times[channel]
        for start in range(0, x.shape[1], row):
            xs, ys = x[image, start : start + row], y[image, start : start + row]
            for i in range(len(xs)):
                value = _load(xs[i]) * times[i] + plus[i]
                ys[i] = _store(value if value > 0 else value * below, ys[i])


@compiled
def backward(
    gradient: Numbers,
    x: Numbers,
    y: Numbers,
    scale: Floats,
    mean: Floats,
    inverse: Floats,
    of_x: Numbers,
    of_scale: Floats,
    of_offset: Floats,
    slope: float,
) -> None:
    """The gradients of :func:`forward`.

    Args:
        gradient: of ``y``.
        x, y, scale, mean, inverse: as there.
        of_x: takes the gradient of ``x``.
        of_scale, of_offset: (channels,), take the sums over images of the gradients.
        slope: as there.
    """
    channels = len(scale)
    row = channels * ((_ROW + channels - 1) // channels)
    below = np.float32(slope)
    total, products, means = np.empty(row, np.float32), np.empty(row, np.float32), np.empty(row, np.float32)
    times, by_x, plus = np.empty(row, np.float32), np.empty(row, np.float32), np.empty(row, np.float32)
    positions = x.shape[1] // channels
    of_scale[:] = 0
    of_offset[:] = 0
    for image in range(len(x)):
        total[:] = 0
        products[:] = 0
        for i in range(row):
            means[i] = mean[image, i % channels]
        for start in range(0, x.shape[1], row):
            stop = start + row
            gs, xs, ys = gradient[image, start:stop], x[image, start:stop], y[image, start:stop]
            for i in range(len(xs)):
                value = _load(gs[i])
                value = value if _load(ys[i]) > 0 else value * below
                total[i] += value
                products[i] += value * (_load(xs[i]) - means[i])
        for channel in range(channels):
            offset = total[channel::channels].astype(np.float64).sum()
            one = inverse[image, channel]
            weight = products[channel::channels].astype(np.float64).sum() * one
            of_offset[channel] += offset
            of_scale[channel] += weight
            # of x: scale / deviation * (g - mean of g - normalized x * mean of (g * normalized x))
            factor = scale[channel] * one
            share = -factor * one * weight / positions
            times[channel::channels] = factor
            by_x[channel::channels] = share
            plus[channel::channels] = -factor * offset / positions - share * mean[image, channel]
        for start in range(0, x.shape[1], row):
            stop = start + row
            gs, xs, ys, out = (
                gradient[image, start:stop],
                x[image, start:stop],
                y[image, start:stop],
                of_x[image, start:stop],
            )
            for i in range(len(xs)):
                value = _load(gs[i])
                value = value if _load(ys[i]) > 0 else value * below
                out[i] = _store(value * times[i] + _load(xs[i]) * by_x[i] + plus[i], out[i])
