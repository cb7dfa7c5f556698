"""Compiled loops over the intensities of one channel of a patch: noise, contrast, gamma.

They go through the channel in pieces that fit into the processor's first cache, each piece in loops that its wide
registers can take.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segxfer3d.augment.compiled import compiled, compiled_finite
from segxfer3d.augment.kernels.splitmix64 import STEP, mix

PIECE = 1024
CELLS = 4096  # of the table of the normal distribution

_0, _1, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_S20, _S32 = np.uint64(20), np.uint64(32)
_LOW_20, _LOW_32 = np.uint64(2**20 - 1), np.uint64(2**32 - 1)
_CELL = np.float32(2.0**-20)
_ONE, _MANTISSA, _BIAS, _23 = np.int32(0x3F800000), np.int32(0x007FFFFF), np.int32(127), np.int32(23)
_LEAST = np.float32(2.0**-100)
_ROOT = np.float32(np.sqrt(2))


@compiled_finite
def measure(values: np.ndarray) -> tuple[np.float32, np.float32, float, float]:
    """Smallest, largest, mean and standard deviation (of all of them, not an estimate) of (V,)."""
    total: Any = 0.0
    squares: Any = 0.0
    shift = values[0]  # so that the squares are small where all values are far from 0
    lows, highs = np.full(PIECE, shift), np.full(PIECE, shift)  # side by side, as wide registers can compare
    for begin in range(0, len(values), PIECE):
        piece = values[begin : begin + PIECE]
        part, part_of_squares = np.float32(0), np.float32(0)
        for i in range(len(piece)):
            value = piece[i] - shift
            part += value
            part_of_squares += value * value
        for i in range(len(piece)):
            lows[i], highs[i] = min(lows[i], piece[i]), max(highs[i], piece[i])
        total += part
        squares += part_of_squares
    low, high = shift, shift
    for i in range(PIECE):
        low, high = min(low, lows[i]), max(high, highs[i])
    mean = total / len(values)
    return low, high, shift + mean, np.sqrt(max(squares / len(values) - mean * mean, 0.0))


@compiled
def add_noise(values: np.ndarray, sd: np.float32, key: np.uint64, quantiles: np.ndarray) -> None:
    """Add normal noise to (V,).

    Args:
        values: changed in place.
        sd: its standard deviation.
        key: from which it is drawn.
        quantiles: (CELLS + 1,) float32 of the standard normal distribution, see :func:`normal_quantiles`.
    """
    for i in range((len(values) + 1) // 2):
        bits = mix(key + STEP * np.uint64(i))
        for half in range(2):
            part = (bits >> _S32) if half else (bits & _LOW_32)
            cell = part >> _S20
            share = np.float32(part & _LOW_20) * _CELL
            low = quantiles[cell]
            if 2 * i + half < len(values):
                values[2 * i + half] += sd * (low + share * (quantiles[cell + np.uint64(1)] - low))


@compiled
def stretch(values: np.ndarray, factor: np.float32, add: np.float32, low: np.float32, high: np.float32) -> None:
    """Replace each v of (V,) by v * factor + add, within low and high."""
    for i in range(len(values)):
        values[i] = min(max(values[i] * factor + add, low), high)


@compiled_finite
def _power(piece: np.ndarray, exponent: np.float32, whole: np.ndarray, rest: np.ndarray) -> None:
    """Raise (P,) in [0, 1] to a power, to about 1e-6 of 1.

    The exponent of the number's base is read off its bits, the logarithm of what is left comes from the series of
    atanh, the power from that of exp.

    Args:
        piece: float32, changed in place.
        exponent: above 0.
        whole: (P,) int32, space.
        rest: (P,) float32, space.
    """
    bits, bits_of_rest = piece.view(np.int32), rest.view(np.int32)
    for i in range(len(piece)):
        whole[i] = (bits[i] >> _23) - _BIAS
        bits_of_rest[i] = (bits[i] & _MANTISSA) | _ONE
    for i in range(len(piece)):
        up = np.float32(rest[i] > _ROOT)
        part = rest[i] * (_1 - _HALF * up)
        s = (part - _1) / (part + _1)
        t = s * s
        series = np.float32(2.8853900818) + t * (
            np.float32(0.9617966939) + t * (np.float32(0.5770780164) + t * np.float32(0.4121985831))
        )
        power = max(exponent * (np.float32(whole[i]) + up + s * series), np.float32(-126))
        floor = np.int32(power - _HALF) if power < 0 else np.int32(power + _HALF)
        whole[i] = floor
        rest[i] = (power - np.float32(floor)) * np.float32(0.69314718056)
    for i in range(len(piece)):
        r = rest[i]
        series = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
        rest[i] = _1 + r * (_1 + r * (_HALF + r * (np.float32(1 / 6) + r * series)))
    for i in range(len(piece)):
        bits[i] = (whole[i] + _BIAS) << _23
    for i in range(len(piece)):
        piece[i] *= rest[i]


@compiled_finite
def gamma(values: np.ndarray, exponent: np.float32, inverted: bool) -> None:
    """Raise (V,), brought to [0, 1], to a power, and give the result the mean and the standard deviation that there
    were; ``inverted``: of 1 minus the value instead. What is constant stays."""
    low, high, mean, sd = measure(values)
    if not high > low or not sd > 0:
        return
    unit = _1 / (high - low)
    factor, add = (-unit, high * unit) if inverted else (unit, -low * unit)
    whole, rest = np.empty(PIECE, dtype=np.int32), np.empty(PIECE, dtype=np.float32)
    total: Any = 0.0
    squares: Any = 0.0
    for begin in range(0, len(values), PIECE):
        piece = values[begin : begin + PIECE]
        for i in range(len(piece)):
            piece[i] = min(max(piece[i] * factor + add, _LEAST), _1)
        _power(piece, exponent, whole, rest)
        part, part_of_squares = np.float32(0), np.float32(0)
        for i in range(len(piece)):
            part += piece[i]
            part_of_squares += piece[i] * piece[i]
        total += part
        squares += part_of_squares
    center = total / len(values)
    spread = np.sqrt(max(squares / len(values) - center * center, 1e-14))
    slope = sd / spread * (-1 if inverted else 1)
    _affine(values, np.float32(slope), np.float32(mean - slope * center))


@compiled
def _affine(values: np.ndarray, factor: np.float32, add: np.float32) -> None:
    """Replace each v of (V,) by v * factor + add."""
    for i in range(len(values)):
        values[i] = values[i] * factor + add
