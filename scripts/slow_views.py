"""Views and ConRec's corruption once more, as an ordinary loader makes them: Pillow and NumPy, one image at a time.

The distributions are those of segxfer3d.augment.views and segxfer3d.augment.conrec_corruption, as published; their
docstrings say where the choices come from. Images are of 8 bits and bicubic resizing smooths, as is usual with Pillow.
It stands beside the whole-batch versions in the benchmark. Nothing in the package uses it.
"""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Array = np.ndarray
Box = tuple[slice, slice]


def random_resized_crop(image: Image.Image, size: int) -> Image.Image:
    """A crop of 10 to 100 % of the area whose height is uniform between what that allows, its sides at 3/4 to 4/3."""
    width, height = image.size
    for _ in range(100):
        ratio = random.uniform(3 / 4, 4 / 3)
        least, most = (min(height, math.sqrt(share * width * height / ratio)) for share in (0.08, 1))
        h = round(random.uniform(least, min(most, width / ratio)))
        w = round(h * ratio)
        if w <= width and w * h >= 0.1 * width * height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return image.crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BICUBIC)
    return image.resize((size, size), Image.Resampling.BICUBIC)


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """The hue turned by shift, a share of the full circle."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(round(shift * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def jitter(image: Image.Image, strength: float) -> Image.Image:
    """Brightness, contrast around each channel's mean, saturation (S of HSV) and hue in random order."""
    for part in random.sample(range(4), 4):
        factor = random.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength)
        if part == 0:
            image = ImageEnhance.Brightness(image).enhance(factor)
        elif part == 1:
            pixels = np.asarray(image, dtype=np.float32)
            mean = pixels.mean(axis=(0, 1))
            image = Image.fromarray(((pixels - mean) * factor + mean).clip(0, 255).astype(np.uint8))
        elif part == 2:
            hue, saturation, value = image.convert("HSV").split()
            saturation = saturation.point(lambda s, by=factor: min(255, s * by))
            image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
        else:
            image = shift_hue(image, random.uniform(-0.2 * strength, 0.2 * strength))
    return image


def blur(image: Image.Image, sigma: float) -> Image.Image:
    """Blurred, with zeros outside the image, so that its borders darken."""
    border = math.ceil(4 * sigma)
    wide = ImageOps.expand(image, border).filter(ImageFilter.GaussianBlur(sigma))
    return wide.crop((border, border, border + image.width, border + image.height))


def to_array(image: Image.Image) -> Array:
    """(3, height, width) float32 in [0, 1]."""
    return np.ascontiguousarray(np.asarray(image, dtype=np.float32).transpose(2, 0, 1)) / 255


def view(pixels: Array, size: int, strength: float = 1.0) -> tuple[Array, Array]:
    """The finished view and the same before jitter, gray and blur, of uint8 pixels (height, width, 3)."""
    image = random_resized_crop(Image.fromarray(pixels), size)
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    plain = image
    if random.random() < 0.8:
        image = jitter(image, strength)
    if random.random() < 0.2:
        image = image.convert("L").convert("RGB")
    if random.random() < 0.5:
        image = blur(image, random.uniform(0.1, 2))
    return to_array(image), to_array(plain)


def draw_box(shape: tuple[int, ...], least: int, most: int, border: tuple[int, int]) -> Box:
    """A box of sides from least to less than most, so many pixels from the near and from the far edge at least."""
    box = []
    for side in shape:
        length = random.randrange(least, most)
        start = random.randrange(border[0], side - length - border[1] + 1)
        box.append(slice(start, start + length))
    return box[0], box[1]


def in_a_row(most: int, chance: float) -> int:
    """How many follow each other, each with this chance, before the first miss."""
    return next((number for number in range(most) if random.random() >= chance), most)


def shuffle(image: Array, where: Array) -> Array:
    """The pixels of up to 15 windows in random order, of the clean image."""
    output, side = image.copy(), image.shape[1]
    for _ in range(in_a_row(15, 0.99)):
        rows, columns = draw_box(image.shape[1:], 1, int(0.2 * side), (0, 1))
        window = image[:, rows, columns]
        flat = window.reshape(len(image), -1)
        output[:, rows, columns] = flat[:, np.random.permutation(flat.shape[1])].reshape(window.shape)  # noqa: NPY002
        where[0, rows, columns] = 1
    return output


def in_paint(image: Array, where: Array) -> Array:
    """Up to 5 boxes, one random color each."""
    output, side = image.copy(), image.shape[1]
    for _ in range(in_a_row(5, 0.95)):
        rows, columns = draw_box(image.shape[1:], int(0.14 * side), int(0.2 * side), (3, 4))
        output[:, rows, columns] = np.random.rand(len(image), 1, 1)  # noqa: NPY002
        where[0, rows, columns] = 1
    return output


def out_paint(image: Array, where: Array) -> Array:
    """One random color outside up to 5 boxes, one at least."""
    output, side = np.empty_like(image), image.shape[1]
    output[:] = np.random.rand(len(image), 1, 1)  # noqa: NPY002
    where[:] = 1
    for _ in range(1 + in_a_row(4, 0.95)):
        rows, columns = draw_box(image.shape[1:], side - 3 * side // 7 + 1, side - 2 * side // 7 + 1, (3, 4))
        output[:, rows, columns] = image[:, rows, columns]
        where[0, rows, columns] = 0
    return output


def corrupt(image: Array) -> tuple[Array, Array, Array]:
    """The corrupted image (3, height, width), where it is corrupted (1, height, width), and the image black there."""
    where = np.zeros((1, *image.shape[1:]), dtype=np.float32)
    (kind,) = random.choices((shuffle, in_paint, out_paint), weights=(33, 33, 34))
    corrupted = kind(image, where)
    return corrupted, where, image * (1 - where)
