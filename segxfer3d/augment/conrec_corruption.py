"""ConRec's corruption of a batch of views: local shuffling, in-painting, out-painting, for one channel also a map of
intensities; on the batch's own device, drawn apart from being applied.

Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image Reconstruction
and Attention-weighted Pooling" (ConRec), 2021, after Zhou et al., "Models Genesis", 2019. Numbers, sides and places are
those of the published code:

- Color: shuffling, in-painting and out-painting with chances 0.33, 0.33 and 0.34; one channel: these and the map, a
  quarter each.
- Up to 15 windows are shuffled, each with chance 0.99 and none after the first miss, in gray images always 15: their
  sides are 1 to less than a fifth of the image's, and they never reach its last row or column.
- Up to 5 boxes are filled, each with chance 0.95, none after the first miss; up to 5 are kept of what is filled around
  them, the first always. So one image in twenty of those kinds of in-painting stays as it is. Sides are 0.14 to less
  than 0.2 of the image's, or the image's less 2/7 to less than 3/7; boxes begin 3 pixels or more from the near edge
  and end 4 or more from the far one.
- Bounds are rounded down to whole voxels; between two bounds the lower is included and the upper is not. Each number
  is equally likely, each axis by itself.

What the paper and its code leave open and what is done here:

- Images too small for a bound or a margin: sides are at least 1, and margins shrink to what is left.
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

from segxfer3d.augment.conrec_parts import in_paint, map_intensity, out_paint, shuffle
from segxfer3d.augment.kernels import conrec_corruption as kernels
from segxfer3d.augment.kernels.conrec_corruption import IN_PAINT, MAP, OUT_PAINT, SHUFFLE
from segxfer3d.errors import InputError

__all__ = ["KINDS", "BoxCorruption", "BoxDraw", "Corrupted", "apply_corruption"]

KINDS = ("shuffle", "in_paint", "out_paint", "map")  # what a draw's kinds mean
COLOR_CHANCES = (0.33, 0.33, 0.34)  # of the kinds
GRAY_CHANCES = (0.25, 0.25, 0.25, 0.25)
WINDOW_CHANCE, BOX_CHANCE = 0.99, 0.95  # of one more
WINDOW_SIDES = (0.0, 0.2)
IN_SIDES = (0.14, 0.2)
OUT_LESS = (2 / 7, 3 / 7)
MARGIN = 3  # pixels around boxes; behind them one more


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
    sides: Sequence[tuple[int, int, int]],
    chances: Sequence[float],
    device: torch.device,
    generator: torch.Generator | None,
    *,
    margin: int = 0,
) -> Tensor:
    """(number, most, 2 x D) boxes for sides of (image's, shortest, longest + 1), one for each of the chances; after the
    first miss all are empty."""
    most = len(chances)
    numbers = torch.rand((number, most, 2 * len(sides)), device=device, generator=generator)
    coins = torch.rand((number, most), device=device, generator=generator)
    there = (coins < torch.tensor(chances, device=device)).long().cumprod(1)
    full = torch.tensor(sides, device=device).T  # rows: the image's, the shortest, the longest + 1
    low, high = full[1], full[2]
    length = low + (numbers[..., len(sides) :] * (high - low)).long()
    room = full[0] - length
    near = (room // 2).clamp(max=margin)
    start = near + (numbers[..., : len(sides)] * (room - 2 * near).clamp(min=1)).long()
    return torch.cat([start, length * there[..., None]], 2)


def _bounds(shape: Sequence[int], shares: tuple[float, float], *, less: bool = False) -> list[tuple[int, int, int]]:
    """Of each axis the image's side, the shortest of a box, and the first that is too long; shares are of the image's,
    or of what a box is shorter by."""
    bounds = []
    for side in shape:
        low, high = (int(share * side) for share in shares)
        if less:
            high = max(high, low + 1)
            bounds.append((side, max(1, side - high + 1), max(2, side - low + 1)))
        else:
            low = max(1, low)
            bounds.append((side, low, max(low + 1, high)))
    return bounds


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
    order = drawn.kinds.argsort(stable=True)
    for kind, index in enumerate(order.split(counts)):  # type: ignore[no-untyped-call]
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
    """Corrupts every image of a batch in one way, anew at every call.

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
        chances = torch.tensor(GRAY_CHANCES if channels == 1 else COLOR_CHANCES, device=device)
        coins = torch.rand((number, 1), device=device, generator=generator)
        kinds = (coins >= chances.cumsum(0)[:-1]).sum(1)
        window = _bounds(shape, WINDOW_SIDES)
        another = [1.0 if channels == 1 else WINDOW_CHANCE] * self.windows
        filled, kept = [BOX_CHANCE] * self.boxes, [1.0] + [BOX_CHANCE] * (self.boxes - 1)
        small, large = _bounds(shape, IN_SIDES), _bounds(shape, OUT_LESS, less=True)
        shuffled, voxels = int((kinds == SHUFFLE).sum()), math.prod(longest - 1 for _, _, longest in window)
        return BoxDraw(
            kinds=kinds,
            windows=_draw_boxes(number, window, another, device, generator),
            keys=torch.rand((shuffled, self.windows, voxels), device=device, generator=generator),
            in_boxes=_draw_boxes(number, small, filled, device, generator, margin=MARGIN),
            out_boxes=_draw_boxes(number, large, kept, device, generator, margin=MARGIN),
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
