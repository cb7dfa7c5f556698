"""Reading images, and bringing images and labels to one size with padding."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segxfer3d.data.io.open_image import open_image
from segxfer3d.data.io.radiographs import is_radiograph, read_radiograph
from segxfer3d.errors import InputError

ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".webp", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc",
)  # fmt: skip

JPEG_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif")
BLURRED_ENDINGS = (*JPEG_ENDINGS, ".webp", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc")  # which may be compressed lossily

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
_KINDS = {1: "gray", 3: "color"}

THREADS = 2  # Pillow decodes without holding Python's lock; more would only hold more images in memory

UInt8 = NDArray[np.uint8]


class ReadImage(NamedTuple):
    """An image as read.

    Attributes:
        array: uint8 (C, H, W).
        converted: the mode that it came from, "" for none.
        note: what a user should hear of how it was read.
    """

    array: UInt8
    converted: str
    note: str = ""


class Padded(NamedTuple):
    """An image of one size: uint8 (C, size, size), and where the picture is in it: top, left, height, width."""

    array: UInt8
    content: tuple[int, int, int, int]


def read_image(
    path: Path,
    channels: int = 3,
    *,
    official: bool = False,
    convert: bool = False,
    turn: bool = True,
    page: int | None = None,
) -> ReadImage:
    """Read an image.

    Args:
        path: of a JPEG, PNG or any other format that Pillow knows, or of a radiograph in DICOM.
        channels: 3 for RGB, 1 for gray.
        official: the file belongs to a published data set, whose few odd files are known and used by everybody: gray,
            paletted, CMYK and transparent images are converted (transparency is dropped), pixels are taken as they are
            stored, and of several frames the first. Otherwise such files are refused.
        convert: convert images of another kind; transparent pixels are refused, for what lies behind them is not known.
        turn: an EXIF orientation turns the image, as viewers and labeling tools do.
        page: number of the page, from 0; None: the only one.

    Raises:
        InputError: damaged or truncated, more than 8 bits a channel, several pages, or another kind of image than
            expected.
    """
    if path.suffix.lower() not in ENDINGS and is_radiograph(path):
        return _read_radiograph(path, channels, convert=convert)
    image, _, deep, *_ = open_image(path, 0 if official and page is None else page)
    if deep:
        raise InputError(
            f"{path}: more than 8 bits a channel ({image.mode}); expected {_EXPECTED[channels]}: scale all images to 8 "
            "bits by one rule"
        )
    mode = image.mode
    if mode != _MODES[channels]:
        image = _converted(path, image, channels, official=official, convert=convert)
    elif not official and "transparency" in image.info and _is_transparent(image.convert("RGBA")):
        raise InputError(
            f"{path}: {MODE_WORDS[mode]} ({mode}) with transparent pixels; expected {_EXPECTED[channels]}: save it on "
            "a background"
        )
    if turn and not official:
        image = ImageOps.exif_transpose(image)
    array = np.asarray(image)
    array = array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return ReadImage(array, "" if mode == _MODES[channels] else mode)


def _converted(path: Path, image: Image.Image, channels: int, *, official: bool, convert: bool) -> Image.Image:
    """An image of another kind as gray or color, if that is asked for."""
    mode, exif = image.mode, image.getexif()
    kind = f"{path}: {MODE_WORDS.get(mode, 'an image of another kind')} ({mode})"
    if not official and not (convert and mode in MODE_WORDS):
        way = f"; --image_kind {_KINDS[channels]} converts it" if mode in MODE_WORDS else ""
        raise InputError(f"{kind}; expected {_EXPECTED[channels]}{way}")
    if "transparency" in image.info or mode in ("LA", "PA"):
        image = image.convert("RGBA")
    if not official and image.mode == "RGBA" and _is_transparent(image):
        raise InputError(f"{kind} with transparent pixels; expected {_EXPECTED[channels]}: save it on a background")
    image = image.convert(_MODES[channels])
    image.info["exif"] = exif.tobytes()  # which a conversion may lose
    return image


def _is_transparent(image: Image.Image) -> bool:
    """Whether an RGBA image has a pixel that is not opaque."""
    return image.getchannel("A").getextrema() != (255, 255)


def _read_radiograph(path: Path, channels: int, *, convert: bool) -> ReadImage:
    array, note = read_radiograph(path)
    if channels == 1:
        return ReadImage(array[None], "", note)
    if not convert:
        raise InputError(
            f"{path}: a radiograph, which is gray; expected {_EXPECTED[channels]}; --image_kind color converts it"
        )
    return ReadImage(np.stack([array] * 3), "L", note)


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
