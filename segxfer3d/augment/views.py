"""Views of a batch: random crops, flips and colors on the batch's own device, drawn apart from being applied.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), ICML 2020, appendix A;
Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image Reconstruction
and Attention-weighted Pooling" (ConRec), 2021, for the views' part in it. What they leave open and what is done here:

- Three dimensions: the papers have none. A crop has the same share of the volume, 8 to 100 %; the ratio bounds how
  unevenly the crop is stretched to the view, for the second axis against the first and for the third against the
  geometric mean of the two. Flips go along the axes that are named, x and y unless told otherwise.
- Crops have real-valued places and sides and are linearly interpolated; they never look at the zero padding around a
  picture. There is no smoothing before an image gets smaller, so images are best stored at about the view's size.
- Where none of ten draws fits, the whole picture is taken.
- Images with another number of channels than three, and volumes, have no color: of the jitter brightness and contrast
  are left, in random order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from segxfer3d.augment import color, geometry
from segxfer3d.errors import InputError

__all__ = ["CenterView", "RandomViews", "View", "ViewDraw", "apply_views"]

BRIGHTNESS_PER_STRENGTH, HUE_PER_STRENGTH = 0.8, 0.2
SIGMAS = (0.1, 2.0)


class View(NamedTuple):
    """A batch of views, (N, C, *size) float32 in [0, 1].

    Attributes:
        image: the finished view.
        plain: the same crop and flip before jitter, gray and blur.
    """

    image: Tensor
    plain: Tensor


class ViewDraw(NamedTuple):
    """What was drawn for a batch; with it the views can be made again.

    Attributes:
        boxes: (N, 2 x D) float, first coordinate and length of the crop along each axis, in voxels.
        content: (N, 2 x D), the picture inside its padding.
        flips: (N, D) bool, turned around along the axis.
        order: (N, 4), the order of the jitter's parts, numbers of :data:`segxfer3d.augment.color.PARTS`.
        factors: (N, 4), what each part takes: three factors and the shift of the hue as a share of the circle.
        jittered: (N,) bool.
        gray: (N,) bool.
        sigma: (N,), of the blur, in voxels of the view.
        blurred: (N,) bool.
    """

    boxes: Tensor
    content: Tensor
    flips: Tensor
    order: Tensor
    factors: Tensor
    jittered: Tensor
    gray: Tensor
    sigma: Tensor
    blurred: Tensor


def apply_views(image: Tensor, drawn: ViewDraw, size: Sequence[int]) -> View:
    """Make views of the size with what was drawn, on the image's device, without gradients, in float32 always.

    Args:
        image: (N, C, *spatial), uint8 or floating-point in [0, 1]; never changed.
        drawn: for these images; it may come from another device.
        size: D lengths.

    Raises:
        InputError: the type or the shape is another, or it was drawn for other images.
    """
    expected = (len(image), 2 * len(size))
    if drawn.boxes.shape != expected:
        raise InputError(
            f"Views: crops were drawn as {tuple(drawn.boxes.shape)}; expected {expected} for these images."
        )
    geometry.check_image(image, len(size), "Views")
    drawn = ViewDraw(*(part.to(image.device) for part in drawn))
    with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
        places = geometry.positions(drawn.boxes, drawn.flips, drawn.content, size)
        plain = geometry.resample(image, places, clamped=True)
        view = color.jitter_(plain.clone(), drawn.order, drawn.factors, drawn.jittered)
        color.grayscale_(view, drawn.gray)
        # SimCLR's kernel: a tenth of the height, made odd
        color.blur_(view, drawn.sigma, size[0] // 10 // 2, drawn.blurred)
    return View(view, plain)


class RandomViews:
    """SimCLR's views of a batch, anew at every call.

    Args:
        size: of the views: two lengths for images, three for volumes.
        area: bounds of the crop's share of the picture's area (volume).
        ratio: bounds of the crop's width over its height, against the view's.
        flip_axes: numbers of the spatial axes, from 0, that are turned around with chance 1/2 each; None: the last axis
            (left and right) of images, x and y of volumes.
        jitter: chance of the color jitter.
        strength: of the jitter, s: brightness, contrast and saturation times 1 - 0.8 s (at least 0) to 1 + 0.8 s, the
            hue shifted by up to 0.2 s of the circle, in random order.
        gray: chance to lose the colors.
        blur: chance of the Gaussian blur (kernel one tenth of the view's height, sigma 0.1 to 2 pixels).

    Raises:
        InputError: an argument is out of its bounds.

    Example:
        >>> views = RandomViews(size=[8, 8])
        >>> view = views({"image": torch.zeros(2, 3, 12, 12, dtype=torch.uint8)})
        >>> view.image.shape, view.plain.dtype
        (torch.Size([2, 3, 8, 8]), torch.float32)
    """

    def __init__(
        self,
        size: Sequence[int],
        area: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        flip_axes: Sequence[int] | None = None,
        jitter: float = 0.8,
        strength: float = 1.0,
        gray: float = 0.2,
        blur: float = 0.5,
    ) -> None:
        self.size = geometry.checked_size(size, "RandomViews")
        self.area = geometry.checked_bounds(area, "RandomViews: area", 1.0)
        self.ratio = geometry.checked_bounds(ratio, "RandomViews: ratio", float("inf"))
        axes = len(self.size)
        self.flip_axes = tuple(((1,) if axes == 2 else (0, 1)) if flip_axes is None else flip_axes)
        if not set(self.flip_axes) <= set(range(axes)):
            raise InputError(
                f"RandomViews: flip_axes is {list(self.flip_axes)}; expected numbers from 0 to {axes - 1}."
            )
        for name, chance in (("jitter", jitter), ("gray", gray), ("blur", blur)):
            if not 0 <= chance <= 1:
                raise InputError(f"RandomViews: {name} is {chance}; expected 0 to 1.")
        if not 0 <= strength <= 1.5:
            raise InputError(f"RandomViews: strength is {strength}; expected 0 to 1.5.")
        self.jitter, self.strength, self.gray, self.blur = jitter, strength, gray, blur

    def draw(self, content: Tensor, generator: torch.Generator | None = None) -> ViewDraw:
        """Draw for N pictures.

        Args:
            content: (N, 2 x D) whole numbers, first voxel and length of each picture along each axis.
            generator: of content's device; the device's default generator where there is none.
        """
        number, device = len(content), content.device
        boxes = geometry.draw_crops(content, self.size, self.area, self.ratio, generator)
        coins = torch.rand((number, 3 + len(self.flip_axes)), device=device, generator=generator)
        flips = torch.zeros((number, len(self.size)), dtype=torch.bool, device=device)
        for column, axis in enumerate(self.flip_axes):
            flips[:, axis] = coins[:, 3 + column] < 0.5
        order = torch.rand((number, len(color.PARTS)), device=device, generator=generator).argsort(1)
        change, turn = BRIGHTNESS_PER_STRENGTH * self.strength, HUE_PER_STRENGTH * self.strength
        factors = torch.cat(
            [
                geometry.uniform((number, 3), max(0.0, 1 - change), 1 + change, device, generator),
                geometry.uniform((number, 1), -turn, turn, device, generator),
            ],
            1,
        )
        return ViewDraw(
            boxes=boxes,
            content=content,
            flips=flips,
            order=order,
            factors=factors,
            jittered=coins[:, 0] < self.jitter,
            gray=coins[:, 1] < self.gray,
            sigma=geometry.uniform((number,), *SIGMAS, device, generator),
            blurred=coins[:, 2] < self.blur,
        )

    def __call__(self, batch: Mapping[str, Tensor], generator: torch.Generator | None = None) -> View:
        """Draw and apply.

        Args:
            batch: ``image`` (N, C, *spatial), uint8 or floating-point in [0, 1]; where pictures lie inside padding also
                ``content`` (N, 2 x D), the first voxel and the length along each axis.
            generator: of the batch's device; the device's default generator where there is none.

        Raises:
            InputError: a type or a shape is another.
        """
        image = batch["image"]
        geometry.check_axes(image, len(self.size), "RandomViews")
        content = geometry.content_of(batch, image, "RandomViews")
        return apply_views(image, self.draw(content, generator), self.size)


class CenterView:
    """The view for evaluation: nothing is drawn; the whole image, padding included, resized where ``size`` differs.

    Args:
        size: two lengths for images, three for volumes.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.size = geometry.checked_size(size, "CenterView")

    def __call__(self, batch: Mapping[str, Tensor]) -> View:
        """``batch``: ``image`` as in :class:`RandomViews`; both images of the view are the same tensor."""
        geometry.check_image(batch["image"], len(self.size), "CenterView")
        with torch.no_grad(), torch.autocast(batch["image"].device.type, enabled=False):
            image = geometry.resized(batch["image"], self.size)
        return View(image, image)
