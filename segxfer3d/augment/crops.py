"""Crops of images as ConRec's published code draws them, and its bicubic resizing of them.

Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image Reconstruction
and Attention-weighted Pooling" (ConRec), 2021, whose code draws and resizes crops with TensorFlow. Crops of volumes,
which it has none of, are drawn by :func:`segxfer3d.augment.geometry.draw_crops`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segxfer3d.augment.geometry import ATTEMPTS, as_float, uniform
from segxfer3d.augment.kernels import bicubic as kernels

COVERED = 0.1  # of a picture that a crop has to cover, whatever its bounds say
STEPS = 1024  # of a pixel: places between pixels are rounded to these
SLOPE = -0.75  # of Keys' cubic kernel
TAPS = 4


class Taps(NamedTuple):
    """Which voxels an output voxel is made of along an axis, and with what weight.

    Attributes:
        places: (N, S, 4) int64.
        weights: (N, S, 4) float32, with sum 1.
    """

    places: Tensor
    weights: Tensor


def draw_image_crops(
    content: Tensor,
    size: tuple[int, ...],
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Tensor:
    """One random box of whole pixels an image, inside its content.

    Width over height, against the view's, is uniform in ``ratio``; then the height (not the area) is uniform in what
    the bounds of the area and the picture allow. What covers less than a tenth of the picture is drawn again, ten times
    at most (the published code: a hundred); where none fits, the box is the whole content.

    Args:
        content: (N, 4), first row, first column, height and width of the pictures.
        size: height and width of the view.
        area: bounds of the crop's share of the picture's area.
        ratio: bounds of the stretch.
        generator: of the content's device; the device's own where there is none.

    Returns:
        (N, 4) float32 of whole numbers, first row and column, height and width.
    """
    device, number = content.device, len(content)
    whole_height, whole_width = content[:, 2].float(), content[:, 3].float()
    pixels = whole_height * whole_width
    stretch = uniform((ATTEMPTS, number), *ratio, device, generator) * (size[1] / size[0])
    numbers = torch.rand((3, ATTEMPTS, number), device=device, generator=generator)
    least, most = (share * pixels for share in area)
    low, high = ((bound / stretch).sqrt().round() for bound in (least, most))
    high = torch.minimum(high, ((whole_width + 0.4999) / stretch).floor()).minimum(whole_height)
    low = torch.minimum(low, high)
    height = low + (numbers[0] * (high - low + 1)).floor()
    width = (height * stretch).round()
    # rounding may have left the bounds by a pixel
    height = height + (height * width < least).float() - (height * width > most).float()
    width = (height * stretch).round()
    covered = height * width
    fits = (covered >= least.maximum(COVERED * pixels)) & (covered <= most) & (height >= 1) & (width >= 1)
    fits &= (height <= whole_height) & (width <= whole_width)
    chosen = fits.long().argmax(0), torch.arange(number, device=device)
    found = fits.any(0)
    height, width = torch.where(found, height[chosen], whole_height), torch.where(found, width[chosen], whole_width)
    top = (numbers[1][chosen] * (whole_height - height)).floor()
    left = (numbers[2][chosen] * (whole_width - width)).floor()
    return torch.stack([content[:, 0] + top, content[:, 1] + left, height, width], 1)


def bicubic_taps(boxes: Tensor, flips: Tensor, size: tuple[int, ...]) -> tuple[Taps, Taps]:
    """What each row and each column of :func:`resample_bicubic` is made of."""
    both = []
    for axis, side in enumerate(size):
        steps = torch.arange(side, device=boxes.device, dtype=torch.float32)
        steps = torch.where(flips[:, axis, None], side - 1 - steps, steps)
        first, length = boxes[:, axis, None], boxes[:, 2 + axis, None]
        place = steps * (length / side)
        low = place.floor()
        x = ((place - low) * STEPS).round_().div_(STEPS)
        far, near = _outer(1 + x), _inner(x)
        weight = torch.stack([far, near, _inner(1 - x), _outer(2 - x)], 2)
        index = low[..., None] + torch.arange(-1, TAPS - 1, device=boxes.device)
        index = index.clamp_(min=0).minimum(length[..., None] - 1) + first[..., None]
        both.append(Taps(index.long(), weight))
    return both[0], both[1]


def _inner(x: Tensor) -> Tensor:
    """Keys' kernel at a distance of 0 to 1."""
    return ((SLOPE + 2) * x - (SLOPE + 3)) * x * x + 1


def _outer(x: Tensor) -> Tensor:
    """Keys' kernel at a distance of 1 to 2."""
    return ((SLOPE * x - 5 * SLOPE) * x + 8 * SLOPE) * x - 4 * SLOPE


def resample_bicubic(image: Tensor, boxes: Tensor, flips: Tensor, size: tuple[int, ...]) -> Tensor:
    """Crops of images at a size, clamped to [0, 1]; on a CPU by compiled loops, elsewhere with whole tensors.

    As TensorFlow 1 resizes: output pixel i lies at i times the scale (no half-pixel centers), nothing is smoothed
    before an image gets smaller, pixels outside the crop are its border's.

    Args:
        image: (N, C, H, W), uint8 or floating-point in [0, 1].
        boxes: (N, 4) of whole numbers, as :func:`draw_image_crops` gives them.
        flips: (N, 2) bool: turned around along the axis.
        size: height and width of the result.

    Returns:
        (N, C, *size) float32.
    """
    if image.device.type != "cpu":
        return resample_bicubic_tensors(image, boxes, flips, size)
    source = image.detach() if image.dtype == torch.uint8 else image.detach().float()
    output = torch.empty((*image.shape[:2], *size))
    unit = np.float32(1 / 255 if image.dtype == torch.uint8 else 1)
    whole = boxes.long().contiguous().numpy()
    kernels.resample(source.contiguous().numpy(), unit, whole, flips.contiguous().numpy(), output.numpy())
    return output


def resample_bicubic_tensors(image: Tensor, boxes: Tensor, flips: Tensor, size: tuple[int, ...]) -> Tensor:
    """:func:`resample_bicubic` with whole tensors."""
    number, channels, _, width = image.shape
    rows, columns = bicubic_taps(boxes, flips, size)
    (across, down) = (columns.places.shape[1], rows.places.shape[1])
    lines = rows.places.flatten(1)[:, None, :, None].expand(-1, channels, -1, width)
    picked = as_float(image.gather(2, lines)).view(number, channels, down, TAPS, width)
    once = (picked * rows.weights[:, None, :, :, None]).sum(3)
    places = columns.places.flatten(1)[:, None, None].expand(-1, channels, down, -1)
    picked = once.gather(3, places).view(number, channels, down, across, TAPS)
    return (picked * columns.weights[:, None, None]).sum(4).clamp_(0, 1)
