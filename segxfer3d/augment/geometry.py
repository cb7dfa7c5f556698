"""Cropping, turning around and resizing a whole batch of images at once, each image with a crop of its own.

A crop is a box (N, 2 x D): the first voxel's coordinate and the length along each of the D spatial axes, real numbers.
Voxel i covers the coordinates from i to i + 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.augment.kernels import views as kernels
from segxfer3d.errors import InputError

ATTEMPTS = 10


def uniform(
    shape: Sequence[int], low: float, high: float, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Uniform random numbers from ``low`` to ``high``."""
    return torch.rand(tuple(shape), device=device, generator=generator).mul_(high - low).add_(low)


def draw_crops(
    content: Tensor,
    size: Sequence[int],
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Tensor:
    """One random box an image, inside its content.

    The box's share of the content's area (volume) is uniform in ``area``. How much the box is stretched against
    ``size`` is log-uniform in ``ratio``: for two axes width over height, for square views the box's own ratio; for
    three axes also the third over the geometric mean of the first two. Of ten draws the first that fits into the
    content is taken; where none does, the whole content.

    Args:
        content: (N, 2 x D), where the pictures are.
        size: D lengths of the view.
        area: bounds of the share, in (0, 1].
        ratio: bounds of the stretch.
        generator: of the content's device; the device's own where there is none.

    Returns:
        (N, 2 x D) float32; where the box fits, each place is equally likely.
    """
    axes = len(size)
    first, length = content[:, :axes].float(), content[:, axes:].float()
    device, number = content.device, len(content)
    share = uniform((ATTEMPTS, number), *area, device, generator)
    stretches = uniform((axes - 1, ATTEMPTS, number), math.log(ratio[0]), math.log(ratio[1]), device, generator)
    place = torch.rand((number, axes), device=device, generator=generator)
    logs = torch.zeros(ATTEMPTS, number, axes, device=device)
    for axis in range(1, axes):  # the new axis against the axes before it; their geometric mean stays
        stretch = stretches[axis - 1]
        logs[..., axis] = stretch * (axis / (axis + 1))
        logs[..., :axis] -= stretch[..., None] / (axis + 1)
    scale = (share * length.prod(1) / math.prod(size)) ** (1 / axes)
    lengths = logs.exp_() * scale[..., None] * length.new_tensor(list(size))
    fits = (lengths <= length).all(2)
    chosen = fits.long().argmax(0)
    box = lengths[chosen, torch.arange(number, device=device)]
    box = torch.where(fits.any(0)[:, None], box, length)
    return torch.cat([first + place * (length - box), box], 1)


def positions(boxes: Tensor, flips: Tensor, content: Tensor, size: Sequence[int]) -> list[Tensor]:
    """Where each output voxel's center lies: an (N, size) tensor of voxel numbers for each axis.

    Args:
        boxes: (N, 2 x D), as :func:`draw_crops` gives them.
        flips: (N, D) bool: turned around along the axis.
        content: (N, 2 x D); nothing outside is looked at.
        size: D lengths of the output.
    """
    axes = len(size)
    result = []
    for axis, side in enumerate(size):
        steps = (torch.arange(side, device=boxes.device, dtype=torch.float32) + 0.5) / side
        shares = torch.where(flips[:, axis, None], 1 - steps, steps)
        first, last = content[:, axis, None], content[:, axis, None] + content[:, axes + axis, None] - 1
        result.append((boxes[:, axis, None] + shares * boxes[:, axes + axis, None] - 0.5).clamp_(first, last))
    return result


def resample(image: Tensor, places: Sequence[Tensor], nearest: bool = False, clamped: bool = False) -> Tensor:
    """The image at the places that :func:`positions` gives: linear, or the nearest voxel.

    Linear means between two neighbors, also where the image gets smaller: there is no smoothing first. On a CPU by
    compiled loops, elsewhere with whole tensors.

    Args:
        image: (N, C, *spatial); uint8 becomes a 255th, as in :func:`as_float`, other types stay in their unit.
        places: an (N, size) tensor for each axis.
        nearest: take the nearest voxel.
        clamped: to [0, 1], which rounding may leave.

    Returns:
        (N, C, *size) float32.
    """
    if image.device.type == "cpu" and not nearest:
        return _resample_compiled(image if image.dtype == torch.uint8 else image.float(), places, clamped)
    result = resample_tensors(as_float(image), places, nearest)
    return result.clamp_(0, 1) if clamped else result


def _resample_compiled(image: Tensor, places: Sequence[Tensor], clamped: bool) -> Tensor:
    number, axes = image.shape[:2], len(places)
    flat = [1] * (3 - axes)  # two-dimensional images have a third axis of length 1
    source = image.detach().contiguous().view(*number, *image.shape[2:], *flat)
    places = [*places, *(torch.zeros(len(image), 1) for _ in flat)]
    low = [place.int() for place in places]
    high = [(lower + 1).clamp_(max=side - 1) for lower, side in zip(low, source.shape[2:], strict=True)]
    output = torch.empty((*number, *(place.shape[1] for place in places)))
    kernels.resample(
        source.numpy(),
        np.float32(1 / 255 if image.dtype == torch.uint8 else 1),
        tuple(lower.numpy().view(np.uint32) for lower in low),
        tuple(upper.numpy().view(np.uint32) for upper in high),
        tuple((place - lower).numpy() for place, lower in zip(places, low, strict=True)),
        clamped,
        output.numpy(),
    )
    return output.view(*number, *output.shape[2 : 2 + axes])


def resample_tensors(image: Tensor, places: Sequence[Tensor], nearest: bool = False) -> Tensor:
    """:func:`resample` with whole tensors."""
    number, axes = len(image), image.ndim - 2
    grid = image.new_empty((number, *(place.shape[1] for place in places), axes))
    for axis, place in enumerate(places):
        shape = [number] + [1] * axes
        shape[1 + axis] = -1
        # grid_sample counts axes from the last, and from -1 at the first voxel's edge to 1 at the last one's
        grid[..., axes - 1 - axis] = ((2 * place + 1) / image.shape[2 + axis] - 1).view(shape)
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def check_axes(image: Tensor, axes: int, who: str) -> None:
    """Raise InputError unless the image is (N, C) and so many spatial axes."""
    if image.ndim != axes + 2 or 0 in image.shape:
        raise InputError(f"{who}: got images of shape {tuple(image.shape)}; expected (N, C) and {axes} spatial axes.")


def check_image(image: Tensor, axes: int, who: str) -> None:
    """Raise InputError unless the image is (N, C) and so many spatial axes, uint8 or floating-point."""
    check_axes(image, axes, who)
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise InputError(f"{who}: got images of type {image.dtype}; expected uint8, or floating-point in [0, 1].")


def as_float(image: Tensor) -> Tensor:
    """As float32: uint8 from 0 to 255 becomes 0 to 1, floating-point numbers stay."""
    return image.float().mul_(1 / 255) if image.dtype == torch.uint8 else image.float()


def whole(image: Tensor) -> Tensor:
    """The content (N, 2 x D) of images without padding."""
    spatial = image.shape[2:]
    row = torch.tensor([0] * len(spatial) + list(spatial), device=image.device)
    return row.expand(len(image), -1)


def content_of(batch: Mapping[str, Tensor], image: Tensor, who: str) -> Tensor:
    """The batch's ``content`` (N, 2 x D), or all of the image where it says nothing.

    Raises:
        InputError: it has another shape.
    """
    content = batch.get("content")
    if content is None:
        return whole(image)
    expected = (len(image), 2 * (image.ndim - 2))
    if content.shape != expected:
        raise InputError(f"{who}: content has shape {tuple(content.shape)}; expected {expected}, starts and lengths.")
    return content


def resized(image: Tensor, size: Sequence[int], nearest: bool = False) -> Tensor:
    """The whole image (N, C, *spatial) as float32 at another size; a float32 image of the size is returned itself."""
    if image.shape[2:] == tuple(size):
        return as_float(image)
    box = whole(image)
    return resample(image, positions(box, torch.zeros_like(box[:, : len(size)], dtype=torch.bool), box, size), nearest)


def padded(image: Tensor, content: Tensor, size: tuple[int, int]) -> Tensor:
    """The content of each image (N, C, H, W), resized with antialiasing to fill one side of ``size``, in the middle of
    zeros; for evaluation, since it goes from image to image.

    Returns:
        (N, C, *size) float32.
    """
    result = torch.zeros((*image.shape[:2], *size), device=image.device)
    for row, (top, left, height, width) in enumerate(content.tolist()):
        picture = as_float(image[row : row + 1, :, top : top + height, left : left + width])
        y, x, rows, columns = _filling(height, width, size)
        resized_picture = F.interpolate(picture, [rows, columns], mode="bilinear", antialias=True)
        result[row, :, y : y + rows, x : x + columns] = resized_picture[0]
    return result


def is_padded(image: Tensor, content: Tensor, size: tuple[int, int]) -> bool:
    """Whether images (N, C, H, W) are of ``size``, and the content of each lies where :func:`padded` lays it."""
    return image.shape[2:] == size and all(
        tuple(place) == _filling(place[2], place[3], size) for place in content.tolist()
    )


def _filling(height: int, width: int, size: Sequence[int]) -> tuple[int, int, int, int]:
    """First row and column, and the lengths, of a picture that is scaled to fill one side, in the middle."""
    scale = min(size[0] / height, size[1] / width)
    rows, columns = (max(1, int(side * scale + 0.5)) for side in (height, width))
    return (size[0] - rows) // 2, (size[1] - columns) // 2, rows, columns


def checked_size(size: Sequence[int], who: str) -> tuple[int, ...]:
    """Two or three whole numbers, or an InputError."""
    size = tuple(size)
    if len(size) not in (2, 3) or any(not isinstance(side, int) or side < 1 for side in size):
        raise InputError(f"{who}: size is {list(size)}; expected two or three whole numbers, at least 1 each.")
    return size


def checked_bounds(bounds: Sequence[float], what: str, most: float) -> tuple[float, float]:
    """A lower and an upper bound above 0, or an InputError."""
    low, high = bounds
    if not 0 < low <= high <= most:
        raise InputError(f"{what} is {list(bounds)}; expected a lower and an upper bound above 0, {most:g} at most.")
    return low, high
