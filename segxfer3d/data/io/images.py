"""Reading images with Pillow, and bringing images and labels to one size with padding."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from segxfer3d.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")

_MODES = {1: "L", 3: "RGB"}
MODE_WORDS = {
    "1": "a black-and-white image",
    "L": "a gray image",
    "LA": "a gray image with transparency",
    "P": "a paletted image",
    "PA": "a paletted image with transparency",
    "RGB": "a color image",
    "RGBA": "a color image with transparency",
    "CMYK": "a CMYK image",
}
_EXPECTED = {1: "a gray image of 8 bits (L)", 3: "a color image of 8 bits a channel (RGB)"}
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)

THREADS = 2  # Pillow decodes without holding Python's lock; more would only hold more images in memory

UInt8 = NDArray[np.uint8]


class ReadImage(NamedTuple):
    """An image as read: ``array`` is uint8 (C, H, W); ``converted`` names the mode it came from, "" for none."""

    array: UInt8
    converted: str


class Padded(NamedTuple):
    """An image of one size: uint8 (C, size, size), and where the picture is in it: top, left, height, width."""

    array: UInt8
    content: tuple[int, int, int, int]


def read_image(path: Path, channels: int = 3, *, official: bool = False) -> ReadImage:
    """Read an image.

    Args:
        path: of a JPEG, PNG or any other format that Pillow knows; of several frames the first.
        channels: 3 for RGB, 1 for gray.
        official: the file belongs to a published data set, whose few odd files are known and used by everybody: gray,
            paletted, CMYK and transparent images are converted (transparency is dropped) and pixels are taken as they
            are stored. Otherwise such files are refused, and an EXIF orientation turns the image, as viewers and
            labeling tools do.

    Raises:
        InputError: damaged or truncated, more than 8 bits a channel, or another kind of image than expected.
    """
    image = open_image(path)
    if _is_deep(path, image):
        raise InputError(f"{path}: more than 8 bits a channel ({image.mode}); expected {_EXPECTED[channels]}")
    mode = image.mode
    if mode != _MODES[channels]:
        if not official:
            kind = MODE_WORDS.get(mode, "an image of another kind")
            raise InputError(f"{path}: {kind} ({mode}); expected {_EXPECTED[channels]}")
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert(_MODES[channels])
    if not official:
        image = ImageOps.exif_transpose(image)
    array = np.asarray(image)
    array = array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return ReadImage(array, "" if mode == _MODES[channels] else mode)


def resize_with_padding(array: UInt8, size: int, *, labels: bool = False) -> Padded:
    """Bring an image or labels to ``size`` x ``size``: the longer side to ``size``, zeros around the shorter.

    Images are resized bilinearly, averaging over the pixels that fall together where they shrink; labels take the
    nearest pixel. An odd row or column of padding goes to the bottom or the right.

    Args:
        array: uint8 (C, H, W); images have one or three channels, labels any number.
        size: pixels of a side.
        labels: the values are labels.

    Returns:
        the padded array, uint8 (C, size, size), and where the picture is in it.
    """
    channels, height, width = array.shape
    scale = size / max(height, width)
    new_height, new_width = (max(1, int(side * scale + 0.5)) for side in (height, width))
    if (new_height, new_width) != (height, width):
        shape = (new_width, new_height)
        if labels:
            array = np.stack([_resized(channel, shape, Image.Resampling.NEAREST) for channel in array])
        elif channels == 1:
            array = _resized(array[0], shape, Image.Resampling.BILINEAR)[None]
        else:
            color = np.ascontiguousarray(array.transpose(1, 2, 0))
            array = _resized(color, shape, Image.Resampling.BILINEAR).transpose(2, 0, 1)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    padded = np.zeros((channels, size, size), np.uint8)
    padded[:, top : top + new_height, left : left + new_width] = array
    return Padded(padded, (top, left, new_height, new_width))


def _resized(array: UInt8, shape: tuple[int, int], method: Image.Resampling) -> UInt8:
    return np.asarray(Image.fromarray(array).resize(shape, method))


def image_channels(path: Path) -> int:
    """1 where a file is gray, else 3; reads its header only.

    Raises:
        InputError: no image.
    """
    try:
        with Image.open(path) as image:
            return 1 if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else 3
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def open_image(path: Path) -> Image.Image:
    """The whole first frame of a file.

    Raises:
        InputError: no such file, damaged or truncated, or no image.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    try:
        image = Image.open(path)
        with image:
            image.load()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return image


def _unreadable(path: Path, error: BaseException) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{path}: not an image, or damaged")
    return InputError(f"{path}: cannot be read, damaged or truncated ({error})")


def _is_deep(path: Path, image: Image.Image) -> bool:
    """Whether a file has more than 8 bits a channel; Pillow reads such a color PNG as if it had 8."""
    if image.mode.startswith(("I", "F")):
        return True
    if image.format != "PNG":
        return False
    with path.open("rb") as file:
        return file.read(25)[24:] == b"\x10"  # the bit depth in a PNG's header
