"""Make a training patch from what was drawn for it: one pass over the volume, then the intensities in place."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtri

from segxfer3d.augment.indexed_label import IndexedLabel
from segxfer3d.augment.kernels import patch_intensities as intensities
from segxfer3d.augment.kernels import patches, views
from segxfer3d.augment.kernels.labels import paint
from segxfer3d.augment.patch_draws import PatchDraw, spline_weights
from segxfer3d.augment.stored_masks import StoredMasks

_UNITS = {np.dtype(np.uint8).str: np.float32(1 / 255)}
_ONE = np.float32(1)
_NO_FIELD = np.empty((0, 0, 3, 0), dtype=np.float32)


def take_patch(
    volume: np.ndarray, label: IndexedLabel | StoredMasks, drawn: PatchDraw, size: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The patch, turned, scaled, bent and mirrored; its intensities as they are.

    Args:
        volume: (C, X, Y, Z), float32, or uint8 that becomes a 255th.
        label: of the same shape.
        drawn: what happens to it.
        size: of the patch.

    Returns:
        The image (C, *size), linear between neighbors, and the label (K, *size), of the nearest voxel; both float32, 0
        outside the volume.
    """
    image = np.empty((len(volume), *size), dtype=np.float32)
    numbers = np.empty(size, dtype=label.index.dtype)
    unit = _UNITS.get(volume.dtype.str, _ONE)
    if drawn.matrix is None and drawn.field is None:
        patches.copy_patch(volume, unit, label.index, drawn.start, drawn.mirrored, image, numbers)
    else:
        center = drawn.start + (np.array(size) - 1) / 2
        matrix = (np.eye(3) if drawn.matrix is None else drawn.matrix) * np.where(drawn.mirrored, -1.0, 1.0)
        field = _NO_FIELD if drawn.field is None else drawn.field
        x, y, z = (spline_weights(side)[:, : len(field)] for side in size)
        patches.resample_patch(volume, unit, label.index, center, matrix, field, (x, y, z), image, numbers)
    classes = np.empty((label.table.shape[1], *size), dtype=np.float32)
    paint(numbers.reshape(-1), label.table, classes.reshape(len(classes), numbers.size))
    return image, classes


def change_intensities(image: np.ndarray, drawn: PatchDraw) -> None:
    """Noise, blur, brightness and contrast, low resolution, gamma, in nnU-Net's order; (C, X, Y, Z), in place."""
    for c, channel in enumerate(image):
        values = channel.reshape(-1)
        if drawn.noise > 0:
            sd = np.float32(drawn.noise * intensities.measure(values)[3])
            intensities.add_noise(values, sd, np.uint64(drawn.seed + c), normal_quantiles())
        if drawn.blur[c] > 0:
            blur(channel, float(drawn.blur[c]))
        brighten(values, float(drawn.brightness[c]), float(drawn.contrast[c]))
        if tuple(drawn.low_resolution[c]) != channel.shape:
            lower_resolution(channel, drawn.low_resolution[c])
        for exponent, inverted in ((drawn.gamma_inverted[c], True), (drawn.gamma[c], False)):
            if exponent != 1:
                intensities.gamma(values, np.float32(exponent), inverted)


def blur(channel: np.ndarray, sigma: float) -> None:
    """A Gaussian blur of (X, Y, Z) in place, of three sigma to both sides; the border is repeated outward."""
    weights = np.exp(-(np.arange(np.ceil(3 * sigma) + 1) ** 2) / (2 * sigma**2))
    weights /= 2 * weights.sum() - 1
    flat = channel.shape[0] == 1  # the kernel's third axis has length 1 where there are two
    shape = (1, 1, *channel.shape[1:], 1) if flat else (1, 1, *channel.shape)
    views.blur(channel.reshape(shape), weights[None].astype(np.float32), np.ones(1, dtype=np.bool_), True)


def brighten(values: np.ndarray, factor: float, contrast: float) -> None:
    """Multiply (V,) in place by a factor, then their distances from their mean by ``contrast``, within their smallest
    and largest."""
    if factor == 1 and contrast == 1:
        return
    low, high, mean, _ = (-np.inf, np.inf, 0.0, 0.0) if contrast == 1 else intensities.measure(values)
    add = factor * mean * (1 - contrast)
    intensities.stretch(values, *map(np.float32, (factor * contrast, add, factor * low, factor * high)))


def lower_resolution(channel: np.ndarray, left: np.ndarray) -> None:
    """Take so many voxels (3,) of (X, Y, Z), the ones nearest to even steps, and go back to the size linearly."""
    low, high, share = zip(
        *(_neighbors(side, int(few)) for side, few in zip(channel.shape, left, strict=True)), strict=True
    )
    output = np.empty((1, 1, *channel.shape), dtype=np.float32)
    views.resample(channel[None, None].copy(), _ONE, low, high, share, False, output)
    channel[:] = output[0, 0]


@cache
def _neighbors(side: int, left: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each voxel of a side the two of the voxels that are left between which it lies, and how much of the second,
    (1, side) each."""
    kept = np.floor((np.arange(left) + 0.5) * side / left).astype(np.uint32)
    place = np.clip((np.arange(side) + 0.5) * left / side - 0.5, 0, left - 1)
    first = place.astype(np.int64)
    second = np.minimum(first + 1, left - 1)
    return kept[first][None], kept[second][None], (place - first).astype(np.float32)[None]


@cache
def resolution_weights(side: int, left: int) -> np.ndarray:
    """What :func:`lower_resolution` does along an axis, as a matrix (side, side)."""
    low, high, share = (part[0] for part in _neighbors(side, left))
    weights = np.zeros((side, side), dtype=np.float32)
    np.add.at(weights, (np.arange(side), low), 1 - share)
    np.add.at(weights, (np.arange(side), high), share)
    return weights


@cache
def normal_quantiles() -> np.ndarray:
    """Quantiles (CELLS + 1,) of the standard normal distribution at even steps; noise is linear between them, and ends
    at 4 standard deviations. Scaled to a standard deviation of 1."""
    edges = ndtri(np.arange(1, intensities.CELLS) / intensities.CELLS)
    points = np.concatenate([[-4.0], edges, [4.0]])
    low, high = points[:-1], points[1:]
    variance = ((low**2 + low * high + high**2) / 3).mean()
    quantiles: np.ndarray = (points / np.sqrt(variance)).astype(np.float32)
    return quantiles
