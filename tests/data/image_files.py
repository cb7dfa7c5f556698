"""Small image files for the tests."""

import numpy as np
from PIL import Image

from segxfer3d.data.layouts import Request, find_cases

# as in the official files, whose palettes are complete: black, dark red, dark green, olive, then grays
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [value for value in range(4, 256) for _ in range(3)]


def noise(size=(12, 16), channels=3, seed=0):
    """Random pixels (H, W, 3) or (H, W)."""
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def save(path, array, mode=None, **options):
    """Write an array as an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def save_paletted(path, values, palette=PALETTE):
    """Write label values as a paletted PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("P", np.shape(values)[::-1])
    image.putdata(np.asarray(values).ravel().tolist())
    image.putpalette(palette)
    image.save(path)
    return path


def square(size=(12, 16), value=1, dtype=np.uint8):
    """A mask with a square of a value."""
    mask = np.zeros(size, dtype)
    mask[3:7, 4:9] = value
    return mask


def find_images(layout, root, target="", task="segmentation", **options):
    """The images of a data set."""
    return find_cases(root, Request(layout=layout, dims=2, target=target, task=task, **options))
