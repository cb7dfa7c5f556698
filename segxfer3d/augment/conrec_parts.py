"""Each part of ConRec's corruption with whole tensors, on any device; see :mod:`segxfer3d.augment.conrec_corruption`.

Boxes are (start along each axis, length along each axis), 2 x D whole numbers; length 0 is no box. Each function gives
the corrupted images and where they are, (n, 1, *spatial) bool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

CURVE_POINTS = 1000


def inside(boxes: Tensor, shape: Sequence[int]) -> Tensor:
    """(n, B, *spatial) bool: which voxels lie in each of the boxes (n, B, 2 x D)."""
    axes = len(shape)
    result = None
    for axis, side in enumerate(shape):
        place = torch.arange(side, device=boxes.device)
        start, length = boxes[..., axis, None], boxes[..., axes + axis, None]
        along = (place >= start) & (place < start + length)
        along = along.view(*along.shape[:2], *[side if other == axis else 1 for other in range(axes)])
        result = along if result is None else result & along
    assert result is not None
    return result


def shuffle(image: Tensor, windows: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Local shuffling: each window of the output holds the same window of the image in random order, the same order in
    all channels; later windows lie on top.

    Args:
        image: (n, C, *spatial).
        windows: (n, W, 2 x D).
        keys: (n, W, P).

    Returns:
        The shuffled image and where, (n, 1, *spatial) bool.
    """
    number, shape = len(image), image.shape[2:]
    axes, voxels = len(shape), math.prod(shape)
    start, length = windows[..., :axes], windows[..., axes:]
    count = length.prod(2)[..., None]
    # the j-th voxel of each window, as a number in the image; what is beyond a window's last goes to an extra place
    rest = torch.arange(keys.shape[2], device=image.device).expand_as(keys)
    real = rest < count
    place = torch.zeros_like(rest)
    stride = 1
    for axis in range(axes - 1, -1, -1):
        side = length[..., axis, None].clamp(min=1)
        place = place + (start[..., axis, None] + rest % side) * stride
        rest, stride = rest // side, stride * shape[axis]
    order = keys.masked_fill(~real, 2.0).argsort(2)
    source = place.gather(2, order).flatten(1)
    target = torch.where(real, place, voxels).flatten(1)
    numbers = torch.arange(target.shape[1], device=image.device).expand_as(target)
    last = torch.full((number, voxels + 1), -1, device=image.device)
    last = last.scatter_reduce_(1, target, numbers, "amax")[:, :voxels]  # which window's which voxel is seen at last
    where = last >= 0
    come_from = torch.where(where, source.gather(1, last.clamp(min=0)), torch.arange(voxels, device=image.device))
    shuffled = image.flatten(2).gather(2, come_from[:, None].expand(-1, image.shape[1], -1))
    return shuffled.view(image.shape), where.view(number, 1, *shape)


def in_paint(image: Tensor, boxes: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """Fill boxes (n, B, 2 x D), each with one color, colors (n, B, C); later ones lie on top."""
    masks = inside(boxes, image.shape[2:])
    colors = colors.view(*colors.shape, *[1] * (image.ndim - 2))
    for box in range(boxes.shape[1]):
        image = torch.where(masks[:, box, None], colors[:, box], image)
    return image, masks.any(1, keepdim=True)


def out_paint(image: Tensor, boxes: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Fill everything outside boxes (n, B, 2 x D) with one color (n, C) an image."""
    where = ~inside(boxes, image.shape[2:]).any(1, keepdim=True)
    return torch.where(where, color.view(*color.shape, *[1] * (image.ndim - 2)), image), where


def map_intensity(image: Tensor, controls: Tensor, rising: Tensor) -> tuple[Tensor, Tensor]:
    """Every intensity v becomes the y of the Bezier curve where its x is v.

    Args:
        image: (n, C, *spatial) in [0, 1].
        controls: (n, 2, 2), two control points (x, y).
        rising: (n,) bool.
    """
    t = torch.linspace(0, 1, CURVE_POINTS, device=image.device, dtype=torch.float64)
    powers = torch.stack([3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2])
    x, y = (controls.double().transpose(1, 2) @ powers + t**3).unbind(1)
    x = x.cummax(1).values  # neither coordinate of such a curve ever turns back: this only undoes rounding
    y = torch.where(rising[:, None], y, y.flip(1))
    values = image.flatten(1).double()
    segment = torch.searchsorted(x, values.contiguous(), right=True).sub_(1).clamp_(0, CURVE_POINTS - 2)
    x0, x1, y0, y1 = x.gather(1, segment), x.gather(1, segment + 1), y.gather(1, segment), y.gather(1, segment + 1)
    share = ((values - x0) / (x1 - x0).clamp(min=1e-12)).clamp(0, 1)
    mapped = (y0 + share * (y1 - y0)).to(image.dtype).view(image.shape)
    return mapped, torch.ones_like(image[:, :1], dtype=torch.bool)
