"""Views of a batch: random crops, flips and colors on the batch's own device, drawn apart from being applied.

Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), ICML 2020, appendix A, as
the published code of Dippel et al., "Towards Fine-grained Visual Representations by Combining Contrastive Learning with
Image Reconstruction and Attention-weighted Pooling" (ConRec), 2021, has them: crops and their bicubic resizing in
:mod:`segxfer3d.augment.crops`, colors in :mod:`segxfer3d.augment.color`. Gray images change in contrast, then in
brightness, always, and are never blurred.

What they leave open and what is done here:

- ``interpolation`` "antialiased" resizes crops linearly between the neighbors of a pixel's center, without smoothing:
  images should be stored at about the view's size, reduced with antialiasing.
- Three dimensions: the papers have none. A crop has the same share of the volume, 8 to 100 %; the ratio bounds how
  unevenly the crop is stretched to the view, log-uniform, for the second axis against the first and for the third
  against the geometric mean of the two; crops have real-valued places and sides and are linearly interpolated. Where
  none of ten draws fits, the whole volume is taken. Flips go along the axes that are named, x and y unless told
  otherwise.
- Crops never look at the zero padding around a picture.
- Images with another number of channels than three, and volumes, have no color: of the jitter brightness and contrast
  are left; other than those of gray images in random order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from segxfer3d.augment import color, crops, geometry
from segxfer3d.errors import InputError

__all__ = ["CenterView", "RandomViews", "View", "ViewDraw", "apply_views"]

BRIGHTNESS_PER_STRENGTH, HUE_PER_STRENGTH = 0.8, 0.2
SIGMAS = (0.1, 2.0)
GRAY_ORDER = (color.CONTRAST, color.BRIGHTNESS, color.SATURATION, color.HUE)
INTERPOLATIONS = ("bicubic", "antialiased")


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


def apply_views(image: Tensor, drawn: ViewDraw, size: Sequence[int], interpolation: str = "bicubic") -> View:
    """Make views of the size with what was drawn, on the image's device, without gradients, in float32 always.

    Args:
        image: (N, C, *spatial), uint8 or floating-point in [0, 1]; never changed.
        drawn: for these images; it may come from another device.
        size: D lengths.
        interpolation: of images: ``bicubic``, as published, or ``antialiased``: linear, for images that were reduced.

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
        if len(size) == 2 and interpolation == "bicubic":
            plain = crops.resample_bicubic(image, drawn.boxes, drawn.flips, tuple(size))
        else:
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
        interpolation: of images: ``bicubic``, as published, or ``antialiased``: linear, for images that were reduced
            to about the view's size.
        flip_axes: numbers of the spatial axes, from 0, that are turned around with chance 1/2 each; None: the last axis
            (left and right) of images, x and y of volumes.
        jitter: chance of the color jitter; gray images are always changed, unless it is 0.
        strength: of the jitter, s: brightness, contrast and saturation times 1 - 0.8 s (at least 0) to 1 + 0.8 s, the
            hue shifted by up to 0.2 s of the circle, in random order.
        gray: chance to lose the colors.
        blur: chance of the Gaussian blur of color images (kernel one tenth of the view's height, sigma 0.1 to 2
            pixels).

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
        interpolation: str = "bicubic",
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
        if interpolation not in INTERPOLATIONS:
            raise InputError(
                f"RandomViews: interpolation is {interpolation!r}; expected one of {', '.join(INTERPOLATIONS)}."
            )
        self.interpolation = interpolation
        self.jitter, self.strength, self.gray, self.blur = jitter, strength, gray, blur

    def draw(self, content: Tensor, generator: torch.Generator | None = None, *, channels: int = 3) -> ViewDraw:
        """Draw for N pictures of ``channels``.

        Args:
            content: (N, 2 x D) whole numbers, first voxel and length of each picture along each axis.
            generator: of content's device; the device's default generator where there is none.
        """
        number, device = len(content), content.device
        draw_crops = crops.draw_image_crops if len(self.size) == 2 else geometry.draw_crops
        boxes = draw_crops(content, self.size, self.area, self.ratio, generator)
        coins = torch.rand((number, 3 + len(self.flip_axes)), device=device, generator=generator)
        flips = torch.zeros((number, len(self.size)), dtype=torch.bool, device=device)
        for column, axis in enumerate(self.flip_axes):
            flips[:, axis] = coins[:, 3 + column] < 0.5
        order = torch.rand((number, len(color.PARTS)), device=device, generator=generator).argsort(1)
        gray = channels == 1 and len(self.size) == 2
        if gray:
            order = torch.tensor(GRAY_ORDER, device=device).expand(number, -1)
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
            jittered=coins[:, 0] < (1.0 if gray and self.jitter else self.jitter),
            gray=coins[:, 1] < self.gray,
            sigma=geometry.uniform((number,), *SIGMAS, device, generator),
            blurred=coins[:, 2] < (0.0 if gray else self.blur),
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
        drawn = self.draw(content, generator, channels=image.shape[1])
        return apply_views(image, drawn, self.size, self.interpolation)


class CenterView:
    """The view for evaluation: nothing is drawn; the whole image, padding included, resized where ``size`` differs.

    Images of several sizes, whose batch says where each lies in it, are each resized with antialiasing and padded, as
    fine-tuning stores its images.

    Args:
        size: two lengths for images, three for volumes.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.size = geometry.checked_size(size, "CenterView")

    def __call__(self, batch: Mapping[str, Tensor]) -> View:
        """``batch``: as in :class:`RandomViews`; both images of the view are the same tensor."""
        image = batch["image"]
        geometry.check_image(image, len(self.size), "CenterView")
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            if len(self.size) != 2 or "content" not in batch:
                view = geometry.resized(image, self.size)
                return View(view, view)
            size = self.size[0], self.size[1]
            content = geometry.content_of(batch, image, "CenterView")
            # of a batch with several sizes all are brought to the largest, which may be this one
            ready = geometry.is_padded(image, content, size)
            view = geometry.as_float(image) if ready else geometry.padded(image, content, size)
        return View(view, view)
