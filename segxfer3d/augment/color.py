"""Color jitter, gray and blur of a whole batch of images, each image with parameters of its own.

What SimCLR does to a crop's colors (Chen et al., "A Simple Framework for Contrastive Learning of Visual
Representations", ICML 2020, appendix A), as the published code of ConRec does it (Dippel et al., 2021). Every function
changes the tensor that it is given, in place, and works on images (N, C, *spatial) in [0, 1], contiguous, float32, 2D
and 3D alike. Intensities are clamped to [0, 1] after each part, those of gray images once at the end; contrast turns
around the mean of each channel; saturation and hue are those of HSV: saturation keeps a pixel's largest value, hue its
largest and smallest; gray is 0.299 R + 0.587 G + 0.114 B; a blur takes what lies outside for zeros.

Volumes, and images with other than three channels, have no color: their brightness and contrast change, nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.augment.kernels import views as kernels

GRAY_WEIGHTS = (0.299, 0.587, 0.114)
PARTS = ("brightness", "contrast", "saturation", "hue")
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def has_color(image: Tensor) -> bool:
    """Whether (N, C, *spatial) is a batch of color images: two-dimensional, three channels."""
    return image.ndim == 4 and image.shape[1] == 3


def gray_of(image: Tensor) -> Tensor:
    """The gray image (N, 1, *spatial): the weighted sum of three colors, or the mean of all channels."""
    if not has_color(image):
        return image.mean(1, keepdim=True)
    red, green, blue = (image[:, i : i + 1] for i in range(3))
    return (red * GRAY_WEIGHTS[0]).add_(green, alpha=GRAY_WEIGHTS[1]).add_(blue, alpha=GRAY_WEIGHTS[2])


def _column(values: Tensor, image: Tensor) -> Tensor:
    """One value an image, (N,), in a shape that spreads over (N, C, *spatial)."""
    return values.view(-1, *[1] * (image.ndim - 1))


def is_gray(image: Tensor) -> bool:
    """Whether (N, C, *spatial) is a batch of gray images: two-dimensional, one channel."""
    return image.ndim == 4 and image.shape[1] == 1


def tone_(image: Tensor, part: Tensor, factor: Tensor, *, clamped: bool = True) -> Tensor:
    """Brightness, contrast or saturation: what lies between an image and black, each channel's mean, or each pixel's
    largest value, times a factor.

    All three are factor x image + (1 - factor) x that, so that images with different parts go through one formula. The
    factor of saturation is as large as HSV has room for: a pixel's smallest value goes down to 0 and no further.

    Args:
        image: (N, C, *spatial).
        part: (N,) numbers of :data:`PARTS`, without hue.
        factor: (N,).
        clamped: to [0, 1].
    """
    scale = _column(factor, image)
    mean = image.flatten(2).mean(2).mul_((part == CONTRAST)[:, None])
    rest = mean.view(*mean.shape, *[1] * (image.ndim - 2))
    if has_color(image):
        colored = _column(part == SATURATION, image)
        high, low = image.amax(1, keepdim=True), image.amin(1, keepdim=True)
        scale = torch.where(colored, scale.minimum(high / (high - low).clamp_(min=1e-12)), scale)
        rest = torch.where(colored, high, rest)
    image.mul_(scale).add_((1 - scale) * rest)
    return image.clamp_(0, 1) if clamped else image


def hue_(image: Tensor, shift: Tensor) -> Tensor:
    """The hue of color images turned by ``shift`` (N,), a share of the full circle from -1/3 to 1/3.

    Measured in sixths of the circle, the hue h lies 1 + (G + B - R - low) / (high - low) from red, on green's side
    where G > B; low and high are a pixel's smallest and largest value. A channel then lies between low and high at
    clamp(||h - n| - 3| - 1, 0, 1), n = 0, 2, -2 for red, green, blue.
    """
    red, green, blue = image.unbind(1)
    high, low = torch.maximum(green, blue), torch.minimum(green, blue)
    torch.maximum(high, red, out=high)
    torch.minimum(low, red, out=low)
    chroma = (high - low).clamp_(min=1e-12)
    hue = (green + blue).sub_(red).sub_(low).div_(chroma).add_(1)
    torch.sub(green, blue, out=chroma)
    torch.copysign(hue, chroma, out=hue)
    hue.add_(_column(shift * 6, hue))
    for channel, turn in ((red, 0), (green, 2), (blue, -2)):
        place = torch.sub(hue, turn, out=chroma).abs_().sub_(3).abs_().sub_(1).clamp_(0, 1)
        torch.lerp(low, high, place, out=channel)  # gives its ends exactly, so that nothing leaves [0, 1]
    return image


def grayscale_(image: Tensor, chosen: Tensor) -> Tensor:
    """The chosen images (N,) bool turn gray, all three channels alike."""
    if not has_color(image):
        return image
    if image.device.type == "cpu":
        kernels.grayscale(image.detach().view(*image.shape[:2], -1).numpy(), chosen.numpy())
        return image
    return grayscale_tensors_(image, chosen)


def grayscale_tensors_(image: Tensor, chosen: Tensor) -> Tensor:
    """:func:`grayscale_` with whole tensors."""
    index = chosen.nonzero().flatten()
    if len(index):
        gray = gray_of(image.index_select(0, index))
        image.index_copy_(0, index, gray.expand(-1, 3, *gray.shape[2:]))
    return image


def jitter_(image: Tensor, order: Tensor, factors: Tensor, chosen: Tensor) -> Tensor:
    """The four parts, in each image's own order.

    On a CPU by compiled loops, elsewhere with whole tensors. Gray images are clamped after the last part, others after
    each.

    Args:
        image: (N, C, *spatial).
        order: (N, 4), a permutation of the numbers of :data:`PARTS` an image.
        factors: (N, 4), for each of :data:`PARTS` what it takes.
        chosen: (N,) bool: the images that are changed at all.
    """
    if image.device.type == "cpu":
        columns = image.detach().view(*image.shape[:2], -1).numpy()
        kernels.jitter(columns, order.numpy(), factors.numpy(), chosen.numpy(), has_color(image), is_gray(image))
        return image
    return jitter_tensors_(image, order, factors, chosen)


def jitter_tensors_(image: Tensor, order: Tensor, factors: Tensor, chosen: Tensor) -> Tensor:
    """:func:`jitter_` with whole tensors.

    Images that turn their hue at the same step are done together: then no step is a mixture that would have to be
    computed twice.
    """
    if has_color(image):
        turned_at = (order == HUE).long().argmax(1)
    else:  # the first two parts in their order
        order = order.gather(1, (order > CONTRAST).long().argsort(dim=1, stable=True)[:, :2])
        turned_at = torch.zeros_like(order[:, 0])
    steps = order.shape[1]
    turned_at = torch.where(chosen, turned_at, steps)
    counts = (turned_at[:, None] == torch.arange(steps + 1, device=order.device)).sum(0).tolist()  # a GPU waits here
    groups = turned_at.argsort().split(counts)[:steps]  # type: ignore[no-untyped-call]
    for turned, index in enumerate(groups):
        if not len(index):
            continue
        group = image.index_select(0, index)
        parts, changes = order[index], factors[index]
        for step in range(steps):
            factor = changes.gather(1, parts[:, step : step + 1]).flatten()
            if has_color(image) and step == turned:
                hue_(group, factor)
            else:
                tone_(group, parts[:, step], factor, clamped=not is_gray(image) or step == steps - 1)
        image.index_copy_(0, index, group)
    return image


def gaussian_kernel(sigma: Tensor, radius: int) -> Tensor:
    """Weights (N, radius + 1) of a pixel and of its neighbors at each distance, for ``sigma`` (N,) in pixels."""
    distance = torch.arange(radius + 1, device=sigma.device, dtype=sigma.dtype)
    weights = torch.exp(-(distance**2) / (2 * sigma[:, None] ** 2))
    return weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])


def blur_(image: Tensor, sigma: Tensor, radius: int, chosen: Tensor) -> Tensor:
    """A Gaussian blur along every spatial axis of the chosen images; outside of them are zeros.

    On a CPU by compiled loops, elsewhere with whole tensors.

    Args:
        image: (N, C, *spatial).
        sigma: (N,) in pixels.
        radius: the kernel has 2 x radius + 1 weights.
        chosen: (N,) bool.
    """
    if radius < 1:
        return image
    weights = gaussian_kernel(sigma, radius)
    if image.device.type == "cpu":
        kernels.blur(
            image.detach().view(*image.shape, *[1] * (5 - image.ndim)).numpy(), weights.numpy(), chosen.numpy(), False
        )
        return image
    return blur_tensors_(image, weights, chosen)


def blur_tensors_(image: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """:func:`blur_` with whole tensors, weights (N, radius + 1) from :func:`gaussian_kernel`."""
    index = chosen.nonzero().flatten()
    if not len(index):
        return image
    radius = weights.shape[1] - 1
    part = image.index_select(0, index)
    weights = weights[index]
    columns = [_column(weights[:, distance], part) for distance in range(radius + 1)]
    for axis in range(2, image.ndim):
        length = part.shape[axis]
        wide = F.pad(part, [radius if side == axis else 0 for side in range(part.ndim - 1, 1, -1) for _ in range(2)])
        part = part.mul_(columns[0])
        for distance in range(1, radius + 1):
            pair = wide.narrow(axis, radius - distance, length) + wide.narrow(axis, radius + distance, length)
            part.add_(pair.mul_(columns[distance]))
    return image.index_copy_(0, index, part.clamp_(0, 1))
