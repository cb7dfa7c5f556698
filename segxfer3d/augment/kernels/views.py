"""Compiled loops for views on a CPU: what geometry.py and color.py do with whole tensors elsewhere.

On a CPU a chain of tensor operations is bound by memory: each reads and writes the whole batch. These loops go through
one image, which fits into the cache, after the other, and take about a third of the time on one core. Both ways
compute the same formulas, in single precision, and are tested against the same slow versions.

All in one file, because Numba's cache would not notice a change in another one.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled, compiled_sum

_0, _1, _3, _6 = (np.float32(number) for number in (0, 1, 3, 6))
_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_LEAST = np.float32(1e-12)


@compiled
def _clamp(value: np.float32) -> np.float32:
    """At least 0, at most 1."""
    return min(max(value, _0), _1)


@compiled
def _resample_axis(
    source: np.ndarray, low: np.ndarray, high: np.ndarray, share: np.ndarray, unit: np.float32, output: np.ndarray
) -> None:
    """One image (A, L, B), times unit, along L, to (A, S, B)."""
    for a in range(len(source)):
        for j in range(len(low)):
            before, after, line = source[a, low[j]], source[a, high[j]], output[a, j]
            near, far = unit * (_1 - share[j]), unit * share[j]
            for b in range(len(line)):
                line[b] = near * np.float32(before[b]) + far * np.float32(after[b])


@compiled
def _resample_last(
    source: np.ndarray, low: np.ndarray, high: np.ndarray, share: np.ndarray, clamped: bool, output: np.ndarray
) -> None:
    """One image (A, L) along L, to (A, S)."""
    for a in range(len(source)):
        line, result = source[a], output[a]
        for j in range(len(result)):
            left = line[low[j]]
            result[j] = left + share[j] * (line[high[j]] - left)
        if clamped:
            for j in range(len(result)):
                result[j] = _clamp(result[j])


@compiled
def resample(
    images: np.ndarray,
    unit: np.float32,
    low: tuple[np.ndarray, ...],
    high: tuple[np.ndarray, ...],
    share: tuple[np.ndarray, ...],
    clamped: bool,
    output: np.ndarray,
) -> None:
    """Interpolate along every axis.

    Args:
        images: (N, C, X, Y, Z) uint8 or float32; Z is 1 where there are two axes.
        unit: what the images are multiplied with.
        low, high: for each axis (N, S), the two neighbors of each output voxel; unsigned, because for others each
            access would first be tested for a negative number.
        share: for each axis (N, S) float32, how much of ``high``.
        clamped: to [0, 1].
        output: (N, C, SX, SY, SZ) float32.
    """
    number, channels, x, y, z = images.shape
    new_x, new_y, new_z = output.shape[2], output.shape[3], output.shape[4]
    flat = z == 1 and new_z == 1
    once = np.empty((channels, new_x, y * z), dtype=np.float32)
    twice = np.empty((channels * new_x, new_y, 0 if flat else z), dtype=np.float32)
    for n in range(number):
        source = images[n].reshape((channels, x, y * z))
        _resample_axis(source, low[0][n], high[0][n], share[0][n], unit, once)
        if flat:
            result = output[n].reshape((channels * new_x, new_y))
            _resample_last(once.reshape((channels * new_x, y)), low[1][n], high[1][n], share[1][n], clamped, result)
        else:
            columns = once.reshape((channels * new_x, y, z))
            _resample_axis(columns, low[1][n], high[1][n], share[1][n], _1, twice)
            lines = twice.reshape((channels * new_x * new_y, z))
            result = output[n].reshape((channels * new_x * new_y, new_z))
            _resample_last(lines, low[2][n], high[2][n], share[2][n], clamped, result)


@compiled_sum
def _mean(channel: np.ndarray) -> float:
    """The mean of (V,), added up in any order, so that an addition need not wait for the one before it."""
    total = 0.0
    for i in range(len(channel)):
        total += channel[i]
    return total / len(channel)


@compiled
def _saturate(image: np.ndarray, factor: np.float32) -> None:
    """See color.saturate_."""
    red, green, blue = image[0], image[1], image[2]
    for i in range(len(red)):
        r, g, b = red[i], green[i], blue[i]
        high = max(max(g, b), r)
        span = min(factor, high / max(high - min(min(g, b), r), _LEAST))
        red[i] = max(high - span * (high - r), _0)
        green[i] = max(high - span * (high - g), _0)
        blue[i] = max(high - span * (high - b), _0)


@compiled
def _scale(channel: np.ndarray, factor: np.float32, rest: np.float32, clamped: bool) -> None:
    """(V,) times a factor, and a number added."""
    if clamped:
        for i in range(len(channel)):
            channel[i] = _clamp(rest + factor * channel[i])
    else:
        for i in range(len(channel)):
            channel[i] = rest + factor * channel[i]


@compiled
def _hue(image: np.ndarray, shift: np.float32) -> None:
    """See color.hue_."""
    red, green, blue = image[0], image[1], image[2]
    two, turn = np.float32(2), shift * _6
    for i in range(len(red)):
        r, g, b = red[i], green[i], blue[i]
        low, high = min(min(g, b), r), max(max(g, b), r)
        hue = _1 + (g + b - r - low) / max(high - low, _LEAST)
        hue = turn + (hue if g >= b else -hue)
        span = high - low
        red[i] = min(low + span * _clamp(abs(abs(hue) - _3) - _1), high)
        green[i] = min(low + span * _clamp(abs(abs(hue - two) - _3) - _1), high)
        blue[i] = min(low + span * _clamp(abs(abs(hue + two) - _3) - _1), high)


@compiled
def jitter(
    images: np.ndarray, order: np.ndarray, factors: np.ndarray, chosen: np.ndarray, color: bool, once: bool
) -> None:
    """See color.jitter_; images (N, C, V), changed in place; ``once``: clamped at the end only."""
    for n in range(len(images)):
        if not chosen[n]:
            continue
        image = images[n]
        for step in range(order.shape[1]):
            part = order[n, step]
            factor = np.float32(factors[n, part])
            if part == 3:
                if color:
                    _hue(image, factor)
            elif part == 2:
                if color:
                    _saturate(image, factor)
            else:
                for c in range(len(image)):
                    rest = (_1 - factor) * np.float32(_mean(image[c])) if part == 1 else _0
                    _scale(image[c], factor, rest, not once)
        if once:
            for c in range(len(image)):
                _scale(image[c], _1, _0, True)


@compiled
def grayscale(images: np.ndarray, chosen: np.ndarray) -> None:
    """See color.grayscale_; color images (N, 3, V), changed in place."""
    for n in range(len(images)):
        if chosen[n]:
            red, green, blue = images[n, 0], images[n, 1], images[n, 2]
            for i in range(len(red)):
                gray = _RED * red[i] + _GREEN * green[i] + _BLUE * blue[i]
                red[i] = green[i] = blue[i] = gray


@compiled
def _weigh(source: np.ndarray, weights: np.ndarray, stride: int, output: np.ndarray) -> None:
    """Weighted sums of neighbors ``stride`` apart, both (V,), in a few long loops; the ends, where a neighbor is
    missing, are left to the caller."""
    for i in range(len(output)):
        output[i] = weights[0] * source[i]
    for d in range(1, min(len(weights) - 1, (len(source) - 1) // (2 * stride)) + 1):
        reach = d * stride
        before, after, middle, weight = source[: -2 * reach], source[2 * reach :], output[reach:-reach], weights[d]
        for i in range(len(middle)):
            middle[i] += weight * (before[i] + after[i])


@compiled
def _blur_axis(source: np.ndarray, weights: np.ndarray, repeated: bool, output: np.ndarray) -> None:
    """One image along one axis.

    Args:
        source: (A, L, B) float32, L along the axis.
        weights: (radius + 1,) float32.
        repeated: what lies outside is the border; else zeros.
        output: (A, L, B) float32, not ``source``.
    """
    length, radius, columns = source.shape[1], len(weights) - 1, source.shape[2]
    left = min(radius, length)
    edges = left + min(radius, length - left)
    for a in range(len(source)):
        _weigh(source[a].reshape(length * columns), weights, columns, output[a].reshape(length * columns))
        for edge in range(edges):
            j = edge if edge < left else length - 1 - (edge - left)
            line, middle = output[a, j], source[a, j]
            for b in range(columns):
                line[b] = weights[0] * middle[b]
            for d in range(1, radius + 1):
                weight = weights[d]
                if repeated:
                    before, after = source[a, max(j - d, 0)], source[a, min(j + d, length - 1)]
                    for b in range(columns):
                        line[b] += weight * (before[b] + after[b])
                    continue
                for k in (j - d, j + d):
                    if 0 <= k < length:
                        neighbor = source[a, k]
                        for b in range(columns):
                            line[b] += weight * neighbor[b]


@compiled
def _blur_last(source: np.ndarray, weights: np.ndarray, repeated: bool, output: np.ndarray) -> None:
    """The same along the last axis, source and output (A, L)."""
    length, radius = source.shape[1], len(weights) - 1
    # All lines as one, in a few long loops; what runs over from line to line is made good afterward.
    _weigh(source.reshape(source.size), weights, 1, output.reshape(source.size))
    left = min(radius, length)
    edges = left + min(radius, length - left)
    for a in range(len(source)):
        line, result = source[a], output[a]
        first, final = (line[0], line[length - 1]) if repeated else (_0, _0)
        for edge in range(edges):
            j = edge if edge < left else length - 1 - (edge - left)
            total = weights[0] * line[j]
            for d in range(1, radius + 1):
                total += weights[d] * ((line[j - d] if j >= d else first) + (line[j + d] if j + d < length else final))
            result[j] = total


@compiled
def blur(images: np.ndarray, weights: np.ndarray, chosen: np.ndarray, repeated: bool) -> None:
    """See color.blur_; images (N, C, X, Y, Z), Z is 1 where there are two axes, changed in place; weights
    (N, radius + 1), chosen (N,); ``repeated``: what lies outside is the border, else zeros."""
    channels, x, y, z = images.shape[1:]
    last = y if z == 1 else z
    result = np.empty(images[0].size, dtype=np.float32)
    for n in range(len(images)):
        if not chosen[n]:
            continue
        image = images[n].reshape(result.size)
        planes = channels, x, y * z
        _blur_axis(image.reshape(planes), weights[n], repeated, result.reshape(planes))
        if z > 1:
            rows = channels * x, y, z
            _blur_axis(result.reshape(rows), weights[n], repeated, image.reshape(rows))
            result[:] = image
        flat = result.size // last, last
        _blur_last(result.reshape(flat), weights[n], repeated, image.reshape(flat))
