"""Views and ConRec's corruption once more, as an ordinary loader makes them: Pillow and NumPy, one image at a time.

The distributions are those of segxfer3d.augment.views and segxfer3d.augment.conrec_corruption, whose docstrings say
where the choices come from; crops are of whole pixels and images of 8 bits, as is usual with Pillow. It stands beside
the whole-batch versions in the benchmark. Nothing in the package uses it.
"""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Array = np.ndarray
Box = tuple[slice, slice]


def random_resized_crop(image: Image.Image, size: int) -> Image.Image:
    """8 to 100 % of the area with sides at 3/4 to 4/3, resized; the whole image where ten draws did not fit."""
    width, height = image.size
    for _ in range(10):
        area = random.uniform(0.08, 1) * width * height
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return image.crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BILINEAR)
    return image.resize((size, size), Image.Resampling.BILINEAR)


def shift_hue(image: Image.Image, shift: float) -> Image.Image:
    """The hue turned by shift, a share of the full circle."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(round(shift * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def jitter(image: Image.Image, strength: float) -> Image.Image:
    """Brightness, contrast, saturation and hue in random order."""
    for part in random.sample(range(4), 4):
        factor = random.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength)
        if part == 0:
            image = ImageEnhance.Brightness(image).enhance(factor)
        elif part == 1:
            image = ImageEnhance.Contrast(image).enhance(factor)
        elif part == 2:
            image = ImageEnhance.Color(image).enhance(factor)
        else:
            image = shift_hue(image, random.uniform(-0.2 * strength, 0.2 * strength))
    return image


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
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2)))
    return to_array(image), to_array(plain)


def draw_box(shape: tuple[int, ...], least: float, most: float) -> Box:
    """A box of sides between two shares of the image's, anywhere inside."""
    box = []
    for side in shape:
        length = random.randint(max(1, int(least * side)), max(1, int(most * side)))
        start = random.randint(0, side - length)
        box.append(slice(start, start + length))
    return box[0], box[1]


def shuffle(image: Array, where: Array) -> Array:
    """The pixels of up to 15 windows in random order."""
    output = image.copy()
    for _ in range(random.randint(1, 15)):
        rows, columns = draw_box(image.shape[1:], 0, 0.2)
        window = image[:, rows, columns]
        flat = window.reshape(len(image), -1)
        output[:, rows, columns] = flat[:, np.random.permutation(flat.shape[1])].reshape(window.shape)  # noqa: NPY002
        where[0, rows, columns] = 1
    return output


def in_paint(image: Array, where: Array) -> Array:
    """Up to 5 boxes, one random color each."""
    output = image.copy()
    for _ in range(random.randint(1, 5)):
        rows, columns = draw_box(image.shape[1:], 0.14, 0.2)
        output[:, rows, columns] = np.random.rand(len(image), 1, 1)  # noqa: NPY002
        where[0, rows, columns] = 1
    return output


def out_paint(image: Array, where: Array) -> Array:
    """One random color outside up to 5 boxes."""
    output = np.empty_like(image)
    output[:] = np.random.rand(len(image), 1, 1)  # noqa: NPY002
    where[:] = 1
    for _ in range(random.randint(1, 5)):
        rows, columns = draw_box(image.shape[1:], 4 / 7, 5 / 7)
        output[:, rows, columns] = image[:, rows, columns]
        where[0, rows, columns] = 0
    return output


def corrupt(image: Array) -> tuple[Array, Array, Array]:
    """The corrupted image (3, height, width), where it is corrupted (1, height, width), and the image black there."""
    where = np.zeros((1, *image.shape[1:]), dtype=np.float32)
    corrupted = random.choice((shuffle, in_paint, out_paint))(image, where)
    return corrupted, where, image * (1 - where)
