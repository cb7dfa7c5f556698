"""Slow and obvious versions of what views are made of."""

import colorsys
import itertools
import math

import numpy as np
import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n, channels, shape, seed=0):
    return torch.rand((n, channels, *shape), generator=generator(seed))


def slow_resample(image, box, flips, content, size, nearest=False):
    """(C, *spatial) voxel by voxel."""
    axes = len(size)
    output = np.zeros((len(image), *size))
    for place in itertools.product(*(range(side) for side in size)):
        corners = []
        for axis in range(axes):
            share = (place[axis] + 0.5) / size[axis]
            share = 1 - share if flips[axis] else share
            at = box[axis] + share * box[axes + axis] - 0.5
            at = min(max(at, content[axis]), content[axis] + content[axes + axis] - 1)
            low = min(math.floor(at), image.shape[1 + axis] - 1)
            high = min(low + 1, image.shape[1 + axis] - 1)
            corners.append([(round(at), 1.0)] if nearest else [(low, 1 - (at - low)), (high, at - low)])
        for corner in itertools.product(*corners):
            weight = math.prod(part[1] for part in corner)
            output[(slice(None), *place)] += weight * image[(slice(None), *(part[0] for part in corner))]
    return output


def slow_bicubic(image, box, flips, size):
    """(C, H, W) cut to whole pixels, resized pixel by pixel without half-pixel centers or smoothing, then turned."""
    top, left, height, width = (int(number) for number in box)
    crop = image[:, top : top + height, left : left + width]
    output = np.zeros((len(image), *size))
    for place in np.ndindex(*size):
        total = 0
        taps = []
        for axis, side in enumerate(size):
            at = place[axis] * crop.shape[1 + axis] / side
            taps.append([(math.floor(at) + d, keys(at - math.floor(at) - d)) for d in range(-1, 3)])
        for (y, a), (x, b) in itertools.product(*taps):
            total = total + a * b * crop[:, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
        output[(slice(None), *place)] = total
    output = output[:, ::-1] if flips[0] else output
    return (output[:, :, ::-1] if flips[1] else output).clip(0, 1)


def keys(x, a=-0.75):
    """Keys' cubic kernel, "Cubic convolution interpolation for digital image processing", 1981."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def slow_part(image, part, factor):
    """One part of the jitter of one image (C, *spatial); of gray images it is clamped later."""
    has_color = len(image) == 3 and image.ndim == 3
    if part == 0:
        image = image * factor
    elif part == 1:
        mean = image.reshape(len(image), -1).mean(1).reshape(-1, *[1] * (image.ndim - 1))
        image = mean + factor * (image - mean)
    elif has_color:
        image = image.copy()
        for place in np.ndindex(*image.shape[1:]):
            h, s, v = colorsys.rgb_to_hsv(*image[(slice(None), *place)])
            h, s = (h, min(1, s * factor)) if part == 2 else ((h + factor) % 1, s)
            image[(slice(None), *place)] = colorsys.hsv_to_rgb(h, s, v)
    return image if len(image) == 1 and image.ndim == 3 else image.clip(0, 1)


def slow_blur(image, sigma, radius):
    """One image (C, *spatial), one axis after the other."""
    weights = np.array([math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)])
    weights /= weights.sum()
    for axis in range(1, image.ndim):
        pad = [(radius, radius) if other == axis else (0, 0) for other in range(image.ndim)]
        wide = np.pad(image, pad)
        length = image.shape[axis]
        image = sum(w * wide.take(range(i, i + length), axis) for i, w in enumerate(weights))
    return image
