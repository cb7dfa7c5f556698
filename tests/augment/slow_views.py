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


def slow_part(image, part, factor):
    """One part of the jitter of one image (C, *spatial)."""
    has_color = len(image) == 3 and image.ndim == 3
    gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2] if has_color else image.mean(0)
    if part == 0:
        image = image * factor
    elif part == 1:
        image = gray.mean() + factor * (image - gray.mean())
    elif has_color and part == 2:
        image = gray + factor * (image - gray)
    elif has_color and part == 3:
        image = image.copy()
        for place in np.ndindex(*image.shape[1:]):
            h, s, v = colorsys.rgb_to_hsv(*image[(slice(None), *place)])
            image[(slice(None), *place)] = colorsys.hsv_to_rgb((h + factor) % 1, s, v)
    return image.clip(0, 1)


def slow_blur(image, sigma, radius):
    """One image (C, *spatial), one axis after the other."""
    weights = np.array([math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)])
    weights /= weights.sum()
    for axis in range(1, image.ndim):
        pad = [(radius, radius) if other == axis else (0, 0) for other in range(image.ndim)]
        wide = np.pad(image, pad, mode="edge")
        length = image.shape[axis]
        image = sum(w * wide.take(range(i, i + length), axis) for i, w in enumerate(weights))
    return image
