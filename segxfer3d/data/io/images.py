"""Reading images and masks with Pillow, and bringing them to one size with padding."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segxfer3d.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")

SHAPE_TOLERANCE = 0.02  # by which the aspect ratio of a mask that is resized may differ from its image's
_MODES = {1: "L", 3: "RGB"}
_KINDS = {
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

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class MaskRule:
    """What the values, or the colors, of a mask file mean.

    A paletted mask is read by its index, never by its color. A gray JPEG mask cannot hold exact values and is compared
    with ``threshold``; a color mask with ``color``. All else goes by value.

    Attributes:
        foreground: values of the target.
        background: values of the rest; None: whatever no other field names.
        ignore: values that neither train nor count.
        either: ``foreground`` lists alternatives of which a mask may hold only one, so that a mask with 0, 1 and 255
            (where 255 often means "ignore") is refused rather than guessed at.
        threshold: a gray JPEG mask is foreground above it; None refuses such masks.
        color: (red, green, blue) that a color mask is compared with; None refuses color masks.
        tolerance: Euclidean distance to ``color``, in gray levels, that still counts as equal.
        color_is_background: ``color`` is the backdrop and anything else is foreground, rather than the other way.
        resize: a mask of another size than its image is brought to it, provided the aspect ratio fits; only for data
            sets that are known to come like this.
    """

    foreground: tuple[int, ...] = (1,)
    background: tuple[int, ...] | None = (0,)
    ignore: tuple[int, ...] = ()
    either: bool = False
    threshold: int | None = None
    color: tuple[int, int, int] | None = None
    tolerance: float = 0.0
    color_is_background: bool = False
    resize: bool = False


class ReadImage(NamedTuple):
    """An image as read: ``array`` is uint8 (C, H, W); ``converted`` names the mode it came from, "" for none."""

    array: UInt8
    converted: str


class ReadMask(NamedTuple):
    """A mask as read, both uint8 (1, H, W) of 0 and 1: where the target is, and where the data set says anything."""

    label: UInt8
    valid: UInt8


class Padded(NamedTuple):
    """An image of one size: uint8 (C, size, size), and where the picture is in it: top, left, height, width."""

    array: UInt8
    content: tuple[int, int, int, int]


def read_image(path: Path, channels: int = 3, official: bool = False) -> ReadImage:
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
    image = _load(path)
    if _is_deep(path, image):
        raise InputError(f"{path}: more than 8 bits a channel ({image.mode}); expected {_EXPECTED[channels]}")
    mode = image.mode
    if mode != _MODES[channels]:
        if not official:
            kind = _KINDS.get(mode, "an image of another kind")
            raise InputError(f"{path}: {kind} ({mode}); expected {_EXPECTED[channels]}")
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert(_MODES[channels])
    if not official:
        image = ImageOps.exif_transpose(image)
    array = np.asarray(image)
    array = array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return ReadImage(array, "" if mode == _MODES[channels] else mode)


def read_mask(path: Path, rule: MaskRule, size: tuple[int, int], official: bool = False) -> ReadMask:
    """Read the mask of an image.

    Args:
        path: of the mask.
        rule: what its values mean.
        size: height and width of its image, as :func:`read_image` gives it with the same ``official``.
        official: as in :func:`read_image`: the orientation of both files is kept as stored, or of both as displayed.

    Raises:
        InputError: damaged or truncated, of another size than the image, or with values that the rule does not know.
    """
    mask = _load(path)
    lossy = mask.format == "JPEG"
    if not official:
        mask = ImageOps.exif_transpose(mask)
    _check_size(path, mask, rule, size)
    shape = (size[1], size[0])
    if mask.mode == "RGB" and not _is_gray(mask):
        if rule.color is None:
            raise InputError(f"{path}: a color mask (RGB); expected one number a pixel: a gray or paletted file")
        mask = mask.resize(shape, Image.Resampling.NEAREST) if mask.size != shape else mask
        distance = np.linalg.norm(np.asarray(mask) - np.array(rule.color, np.float32), axis=-1)
        label = (distance > rule.tolerance) == rule.color_is_background
        return _as_mask(label, np.ones_like(label))
    if mask.mode == "RGB":
        mask = mask.getchannel(0)
    if mask.mode not in ("1", "L", "P") and not mask.mode.startswith("I"):
        kind = _KINDS.get(mask.mode, "an image of another kind")
        raise InputError(f"{path}: {kind} ({mask.mode}) as a mask; expected a gray or paletted file")
    if lossy:
        if rule.threshold is None:
            raise InputError(f"{path}: a JPEG as a mask, which blurs its values; expected a PNG")
        mask = mask.convert("L")
        # smooth before the threshold, so that enlarged outlines have no stairs
        mask = mask.resize(shape, Image.Resampling.BILINEAR) if mask.size != shape else mask
        label = np.asarray(mask) > rule.threshold
        return _as_mask(label, np.ones_like(label))
    mask = mask.resize(shape, Image.Resampling.NEAREST) if mask.size != shape else mask
    values = np.asarray(mask)
    return _by_value(path, values.astype(np.uint8) if values.dtype == bool else values, rule)


def resize_with_padding(array: UInt8, size: int, mask: bool = False) -> Padded:
    """Bring an image or a mask to ``size`` x ``size``: the longer side to ``size``, zeros around the shorter.

    Images are resized bilinearly, averaging over the pixels that fall together where they shrink; masks take the
    nearest pixel. An odd row or column of padding goes to the bottom or the right.

    Args:
        array: uint8 (C, H, W); one or three channels.
        size: pixels of a side.
        mask: the values are labels.

    Returns:
        the padded array, uint8 (C, size, size), and where the picture is in it.
    """
    channels, height, width = array.shape
    scale = size / max(height, width)
    new_height, new_width = (max(1, int(side * scale + 0.5)) for side in (height, width))
    if (new_height, new_width) != (height, width):
        method = Image.Resampling.NEAREST if mask else Image.Resampling.BILINEAR
        image = Image.fromarray(array[0] if channels == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))
        resized = np.asarray(image.resize((new_width, new_height), method))
        array = resized[None] if channels == 1 else resized.transpose(2, 0, 1)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    padded = np.zeros((channels, size, size), np.uint8)
    padded[:, top : top + new_height, left : left + new_width] = array
    return Padded(padded, (top, left, new_height, new_width))


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


def read_values(path: Path) -> UInt8:
    """The values of a gray or paletted mask of 8 bits, uint8 (H, W), as they are stored.

    Raises:
        InputError: damaged, or no such mask.
    """
    mask = _load(path)
    if mask.mode not in ("1", "L", "P"):
        raise InputError(f"{path}: a mask of mode {mask.mode}; expected one number of 8 bits a pixel")
    return np.asarray(mask).astype(np.uint8, copy=False)


def values_in(mask: NDArray[Any]) -> set[int]:
    """The different values of a mask."""
    if mask.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    return set(np.unique(mask).astype(int).tolist())


def _load(path: Path) -> Image.Image:
    """The whole first frame of a file."""
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
    if isinstance(error, Image.UnidentifiedImageError):
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


def _is_gray(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _check_size(path: Path, mask: Image.Image, rule: MaskRule, size: tuple[int, int]) -> None:
    height, width = size
    if mask.size == (width, height):
        return
    found = f"{path}: the mask is {mask.width}x{mask.height}, its image {width}x{height}"
    if not rule.resize:
        turned = "; one of the two is turned" if mask.size == (height, width) else ""
        raise InputError(f"{found} (width x height){turned}")
    if abs(mask.width * height / (mask.height * width) - 1) > SHAPE_TOLERANCE:
        raise InputError(f"{found} (width x height), of another shape, so it is no smaller or larger copy")


def _by_value(path: Path, values: NDArray[Any], rule: MaskRule) -> ReadMask:
    present = values_in(values)
    if rule.background is not None:
        known = {*rule.foreground, *rule.background, *rule.ignore}
        if strange := sorted(present - known):
            shown = ", ".join(map(str, strange[:5])) + (", ..." if len(strange) > 5 else "")
            raise InputError(f"{path}: mask values {shown}; expected {', '.join(map(str, sorted(known)))}")
    if rule.either and len(found := sorted(present & set(rule.foreground))) > 1:
        raise InputError(
            f"{path}: mask values {' and '.join(map(str, found))}; expected one foreground value in a mask"
        )
    return _as_mask(np.isin(values, rule.foreground), ~np.isin(values, rule.ignore))


def _as_mask(label: NDArray[np.bool_], valid: NDArray[np.bool_]) -> ReadMask:
    return ReadMask(label[None].astype(np.uint8), valid[None].astype(np.uint8))
