"""ConRec's corruption of a batch of views: local shuffling, in-painting, out-painting, for one channel also a map of
intensities; on the batch's own device, drawn apart from being applied.

Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image Reconstruction
and Attention-weighted Pooling" (ConRec), 2021, after Zhou et al., "Models Genesis", 2019. What they leave open and what
is done here:

- "Up to" 15 windows or 5 boxes: every number from 1 to that is equally likely.
- Bounds of sides are rounded down to whole voxels, at least 1; whole numbers between two bounds, both included, are
  equally likely, each axis by itself. Boxes and windows lie anywhere inside the image, each place equally likely.
- Colors are uniform in [0, 1], each channel by itself. Of two boxes of in-painting the later one lies on top.
- A shuffled window counts as corrupted as a whole, also where a voxel happens to stay; a mapped image everywhere.
- The intensity map is the Bezier curve of Models Genesis: from (0, 0) to (1, 1) with two control points uniform in the
  unit square, 1000 points at even steps of its parameter joined by straight lines; half of the maps run upward, half
  downward (their y values in reverse order).
- Volumes: sides and boxes have three axes, the rest is the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segxfer3d.augment.kernels import conrec_corruption as kernels
from segxfer3d.augment.kernels.conrec_corruption import IN_PAINT, MAP, OUT_PAINT, SHUFFLE
from segxfer3d.errors import InputError

__all__ = ["KINDS", "BoxCorruption", "BoxDraw", "Corrupted", "apply_corruption"]

KINDS = ("shuffle", "in_paint", "out_paint", "map")  # what a draw's kinds mean
WINDOW_SIDES = (0.0, 0.2)
IN_SIDES = (0.14, 0.2)
OUT_LESS = (2 / 7, 3 / 7)
CURVE_POINTS = 1000


class Corrupted(NamedTuple):
    """A corrupted batch.

    Attributes:
        image: (N, C, *spatial), corrupted.
        where: (N, 1, *spatial) float32, 1 where it is corrupted, 0 elsewhere.
        blacked: (N, C, *spatial), the given image with 0 where it is corrupted.
    """

    image: Tensor
    where: Tensor
    blacked: Tensor


class BoxDraw(NamedTuple):
    """What was drawn for a batch; with it the corruption can be made again.

    Attributes:
        kinds: (N,) numbers of :data:`KINDS`.
        windows: (N, W, 2 x D) start and length along each axis of the windows to shuffle; length 0: none.
        keys: (N, W, P) in [0, 1), P as many as the largest window has voxels: sorted, they put a window's voxels in
            order. Images that are not shuffled have none: there are rows for the others only, in their order.
        in_boxes: (N, B, 2 x D) boxes to fill, as windows.
        out_boxes: (N, B, 2 x D) boxes to keep.
        colors: (N, B, C) of the boxes to fill; the first is the color around boxes to keep.
        controls: (N, 2, 2) control points (x, y) of the intensity map.
        rising: (N,) bool, whether the map runs upward.
    """

    kinds: Tensor
    windows: Tensor
    keys: Tensor
    in_boxes: Tensor
    out_boxes: Tensor
    colors: Tensor
    controls: Tensor
    rising: Tensor


def _draw_boxes(
    number: int,
    most: int,
    sides: Sequence[tuple[int, int, int]],
    device: torch.device,
    generator: torch.Generator | None,
) -> Tensor:
    """(number, most, 2 x D) boxes for sides of (image's, shortest, longest); all after the first few are empty."""
    numbers = torch.rand((number, most, 2 * len(sides)), device=device, generator=generator)
    count = torch.randint(1, most + 1, (number, 1), device=device, generator=generator)
    full = torch.tensor(sides, device=device).T  # rows: the image's, the shortest, the longest
    low, high = full[1], full[2]
    length = low + (numbers[..., len(sides) :] * (high - low + 1)).long()
    start = (numbers[..., : len(sides)] * (full[0] - length + 1)).long()
    length = length * (torch.arange(most, device=device) < count)[..., None]
    return torch.cat([start, length], 2)


def _longest_window(shape: Sequence[int]) -> list[int]:
    return [max(1, int(WINDOW_SIDES[1] * side)) for side in shape]


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


def apply_corruption(image: Tensor, drawn: BoxDraw) -> Corrupted:
    """Corrupt (N, C, *spatial) in [0, 1] as drawn; the given tensor is never touched.

    Raises:
        InputError: the image is not 2D or 3D floating-point, or something was drawn for another number of images or
            another size.
    """
    _check(image)
    drawn = BoxDraw(*(part.to(image.device) for part in drawn))
    if len(drawn.kinds) != len(image) or drawn.windows.shape[2] != 2 * (image.ndim - 2):
        raise InputError(f"BoxCorruption: drawn for other images than of shape {tuple(image.shape)}.")
    with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
        if image.device.type == "cpu" and image.dtype == torch.float32:
            return corrupt_compiled(image.detach().contiguous(), drawn)
        return corrupt_tensors(image, drawn)


def corrupt_tensors(image: Tensor, drawn: BoxDraw) -> Corrupted:
    """:func:`apply_corruption` with whole tensors, for any device."""
    counts = (drawn.kinds[:, None] == torch.arange(len(KINDS), device=image.device)).sum(0).tolist()
    corrupted = image.clone()
    where = torch.zeros_like(image[:, :1], dtype=torch.float32)
    for kind, index in enumerate(drawn.kinds.argsort(stable=True).split(counts)):
        if not len(index):
            continue
        part = image.index_select(0, index)
        if kind == SHUFFLE:
            part, mask = shuffle(part, drawn.windows[index], drawn.keys)
        elif kind == IN_PAINT:
            part, mask = in_paint(part, drawn.in_boxes[index], drawn.colors[index])
        elif kind == OUT_PAINT:
            part, mask = out_paint(part, drawn.out_boxes[index], drawn.colors[index, 0])
        else:
            part, mask = map_intensity(part, drawn.controls[index], drawn.rising[index])
        corrupted.index_copy_(0, index, part)
        where.index_copy_(0, index, mask.float())
    return Corrupted(corrupted, where, image * (1 - where))


def corrupt_compiled(image: Tensor, drawn: BoxDraw) -> Corrupted:
    """:func:`apply_corruption` with compiled loops, for contiguous float32 images on a CPU."""
    axes = image.ndim - 2
    result = Corrupted(torch.empty_like(image), torch.empty_like(image[:, :1]), torch.empty_like(image))
    shape = image.shape[2:] if axes == 3 else (1, *image.shape[2:])

    def volumes(boxes: Tensor) -> np.ndarray:
        """The boxes with three axes."""
        if axes == 3:
            return boxes.numpy()
        start, length = boxes[..., :2], boxes[..., 2:]
        lead = torch.zeros_like(start[..., :1])
        return torch.cat([lead, start, lead + 1, length], 2).numpy()

    kernels.corrupt(
        image.view(*image.shape[:2], *shape).numpy(),
        drawn.kinds.numpy(),
        volumes(drawn.windows),
        drawn.keys.numpy(),
        volumes(drawn.in_boxes),
        volumes(drawn.out_boxes),
        drawn.colors.numpy(),
        result.image.view(*image.shape[:2], *shape).numpy(),
        result.where.view(len(image), *shape).numpy(),
        result.blacked.view(*image.shape[:2], *shape).numpy(),
    )
    mapped = (drawn.kinds == MAP).nonzero().flatten()
    if len(mapped):
        result.image[mapped] = map_intensity(image[mapped], drawn.controls[mapped], drawn.rising[mapped])[0]
    return result


class BoxCorruption:
    """Corrupts every image of a batch in one way, each way equally likely, anew at every call.

    Args:
        windows: most windows of local shuffling (sides up to 20 % of the image's).
        boxes: most boxes of in-painting (sides 14 to 20 %) and out-painting (the image's sides less 2/7 to 3/7).

    Raises:
        InputError: windows or boxes is below 1.

    Example:
        >>> corrupted = BoxCorruption()(torch.rand(2, 3, 16, 16))
        >>> corrupted.image.shape, corrupted.where.shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(self, windows: int = 15, boxes: int = 5) -> None:
        for name, most in (("windows", windows), ("boxes", boxes)):
            if most < 1:
                raise InputError(f"BoxCorruption: {name} is {most}; expected at least 1.")
        self.windows, self.boxes = windows, boxes

    def draw(
        self,
        number: int,
        channels: int,
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        generator: torch.Generator | None = None,
    ) -> BoxDraw:
        """Draw for ``number`` images of ``channels`` and of two or three sides, from the generator, of this device, or
        from the device's default generator."""
        device = torch.device(device)
        ways = len(KINDS) if channels == 1 else len(KINDS) - 1
        kinds = torch.randint(0, ways, (number,), device=device, generator=generator)
        longest = _longest_window(shape)
        window = [(side, 1, most) for side, most in zip(shape, longest, strict=True)]
        small = [(side, *(max(1, int(share * side)) for share in IN_SIDES)) for side in shape]
        large = [(side, side - int(OUT_LESS[1] * side), side - int(OUT_LESS[0] * side)) for side in shape]
        windows = _draw_boxes(number, self.windows, window, device, generator)
        shuffled = int((kinds == SHUFFLE).sum())
        return BoxDraw(
            kinds=kinds,
            windows=windows,
            keys=torch.rand((shuffled, self.windows, math.prod(longest)), device=device, generator=generator),
            in_boxes=_draw_boxes(number, self.boxes, small, device, generator),  # type: ignore[arg-type]
            out_boxes=_draw_boxes(number, self.boxes, large, device, generator),
            colors=torch.rand((number, self.boxes, channels), device=device, generator=generator),
            controls=torch.rand((number, 2, 2), device=device, generator=generator),
            rising=torch.rand((number,), device=device, generator=generator) < 0.5,
        )

    def __call__(self, image: Tensor, generator: torch.Generator | None = None) -> Corrupted:
        """Draw and apply.

        Args:
            image: (N, C, *spatial) floating-point in [0, 1]; never touched.
            generator: of the image's device; the device's default generator where there is none.

        Raises:
            InputError: another type or shape.
        """
        _check(image)
        drawn = self.draw(len(image), image.shape[1], image.shape[2:], image.device, generator)
        return apply_corruption(image, drawn)


def _check(image: Tensor) -> None:
    if image.ndim not in (4, 5) or 0 in image.shape or not image.is_floating_point():
        raise InputError(
            f"BoxCorruption: got {image.dtype} of shape {tuple(image.shape)}; "
            "expected floating-point images (N, C, *spatial), 2D or 3D."
        )
