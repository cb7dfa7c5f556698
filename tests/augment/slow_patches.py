"""Slow, obvious versions of what training patches are changed by, with SciPy and NumPy in double precision."""

import numpy as np
from scipy import ndimage


def places(size, center, matrix, displacement=None):
    """(3, *size): where each voxel of a patch lies in the volume."""
    steps = np.stack(np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in size), indexing="ij"))
    moved = np.einsum("ab,bxyz->axyz", matrix, steps) + np.reshape(center, (3, 1, 1, 1))
    return moved if displacement is None else moved + displacement


def sample(volume, where, *, nearest=False):
    """A volume (X, Y, Z), surrounded by 0, at places; along an axis of length 1 there is no outside."""
    if volume.shape[0] == 1:
        return ndimage.map_coordinates(volume[0], where[1:], order=0 if nearest else 1, mode="grid-constant")
    return ndimage.map_coordinates(volume, where, order=0 if nearest else 1, mode="grid-constant")


def spline(points, size):
    """Displacements (3, *size) of a uniform cubic B-spline with control points (N, N, 3, N)."""
    bases = []
    for side in size:
        cells = points.shape[0] - 3
        weights = np.zeros((side, points.shape[0]))
        for i in range(side):
            place = cells * i / max(side - 1, 1)
            for j in range(points.shape[0]):
                weights[i, j] = cubic(place - (j - 1))
        bases.append(weights)
    return np.einsum("xi,yj,zk,ijak->axyz", *bases, points)


def cubic(t):
    """The cubic B-spline around 0."""
    t = abs(t)
    if t < 1:
        return 2 / 3 - t**2 + t**3 / 2
    return max(2 - t, 0) ** 3 / 6


def blur(channel, sigma):
    """Three sigma to both sides, the border repeated."""
    radius = int(np.ceil(3 * sigma))
    for axis, side in enumerate(channel.shape):
        if side > 1 or channel.shape[0] != 1:
            channel = ndimage.gaussian_filter1d(channel, sigma, axis, mode="nearest", radius=radius)
    return channel


def brighten(channel, factor, contrast):
    channel = factor * channel
    mean = channel.mean()
    return np.clip((channel - mean) * contrast + mean, channel.min(), channel.max())


def lower_resolution(channel, left):
    """Nearest voxels at even steps, then linear, as torch's interpolate does with nearest-exact and trilinear."""
    for axis, (side, few) in enumerate(zip(channel.shape, left, strict=True)):
        kept = np.take(channel, np.floor((np.arange(few) + 0.5) * side / few).astype(int), axis)
        place = np.clip((np.arange(side) + 0.5) * few / side - 0.5, 0, few - 1)
        channel = np.apply_along_axis(
            lambda line, place=place, few=few: np.interp(place, np.arange(few), line), axis, kept
        )
    return channel


def gamma(channel, exponent, inverted):
    low, high = channel.min(), channel.max()
    part = (channel - low) / (high - low)
    part = (1 - part) ** exponent if inverted else part**exponent
    part = (part - part.mean()) / part.std() * channel.std()
    return channel.mean() - part if inverted else channel.mean() + part
