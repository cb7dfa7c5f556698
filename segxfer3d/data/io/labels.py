"""Reading the labels of images (masks) with Pillow: their values, what counts of them, and what is refused."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segxfer3d.data.case import LabelRule, ValuePairs
from segxfer3d.data.io.images import MODE_WORDS, UInt8
from segxfer3d.data.io.open_image import open_image
from segxfer3d.data.io.palettes import Values, means_shown, palette_values
from segxfer3d.data.io.whole_numbers import whole_numbers
from segxfer3d.data.label_map import mapped
from segxfer3d.errors import InputError

_BLUR = 8  # by which a lossy compression of color lets gray differ between channels
SHAPE_TOLERANCE = 0.02  # by which the aspect ratio of a mask that is resized may differ from its image's


class ReadLabel(NamedTuple):
    """A mask as read, uint8 of 0 and 1.

    Attributes:
        label: (K, H, W), where each class is; K is 1 unless the rule has several.
        valid: (1, H, W), where the data set says anything.
        note: what a user should hear of how it was read.
    """

    label: UInt8
    valid: UInt8
    note: str = ""


def read_label(
    path: Path,
    rule: LabelRule,
    size: tuple[int, int],
    *,
    official: bool = False,
    turn: bool = True,
    page: int | None = None,
    label_map: ValuePairs = (),
) -> ReadLabel:
    """Read the mask of an image.

    Args:
        path: of the mask.
        rule: what its values mean.
        size: height and width of its image, as :func:`~segxfer3d.data.io.images.read_image` gives it with the same
            ``official``.
        official: as there: the orientation of both files is kept as stored, or of both as displayed; indices of a
            palette are values, whatever a viewer shows (:mod:`segxfer3d.data.io.palettes`).
        turn: an EXIF orientation turns it.
        page: number of the page, from 0; None: the only one.
        label_map: values that stand for others. White is 255 of files of few bits and of gray palettes where it speaks
            of 255, and of lossy compression.

    Raises:
        InputError: damaged or truncated, of another size than the image, or with values that the rule does not know, or
            that ``label_map`` speaks of and lossy compression does not keep.
    """
    mask, kind, deep, lossy, spread = open_image(path, 0 if official and page is None else page)
    lossy = lossy and not deep
    if turn and not official:
        mask = ImageOps.exif_transpose(mask)
    _check_size(path, mask, rule, size)
    shape = (size[1], size[0])
    if deep and mask.mode[0] not in "IF":
        raise InputError(f"{path}: a color mask of more than 8 bits a channel; expected one number a pixel")
    if mask.mode == "RGB" and not _is_gray(mask, blur=_BLUR if lossy and kind != "JPEG" else 0):
        if rule.color is None:
            raise InputError(f"{path}: a color mask (RGB); expected one number a pixel: a gray or paletted file")
        mask = mask.resize(shape, Image.Resampling.NEAREST) if mask.size != shape else mask
        distance = np.linalg.norm(np.asarray(mask) - np.array(rule.color, np.float32), axis=-1)
        label = (distance > rule.tolerance) == rule.color_is_background
        return _read(label[None], np.ones_like(label[None]))
    if mask.mode == "RGB":
        mask = mask.getchannel(0)
    if mask.mode not in ("1", "L", "P") and not mask.mode.startswith(("I", "F")):
        words = MODE_WORDS.get(mask.mode, "an image of another kind")
        raise InputError(f"{path}: {words} ({mask.mode}) as a mask; expected a gray or paletted file")
    if lossy:
        if rule.threshold is None:
            what = "JPEG" if kind in ("JPEG", "MPO") else f"{kind} of lossy compression"
            raise InputError(f"{path}: a {what} as a mask, which blurs its values; expected a PNG")
        mask = mask.convert("L")
        # smooth before the threshold, so that enlarged outlines have no stairs
        mask = mask.resize(shape, Image.Resampling.BILINEAR) if mask.size != shape else mask
        label = np.asarray(mask) > rule.threshold
        if label_map:
            return _by_value(path, mapped(_two_values(path, label, rule.threshold, label_map), label_map), rule)
        return _read(label[None], np.ones_like(label[None]))
    mask = mask.resize(shape, Image.Resampling.NEAREST) if mask.size != shape else mask
    more = [value for value, _ in label_map]
    values, note = _values(path, mask, rule, more, spread=spread, official=official)
    return _by_value(path, mapped(values, label_map), rule)._replace(note=note)


def _two_values(path: Path, above: NDArray[np.bool_], threshold: int, label_map: ValuePairs) -> UInt8:
    """What a mask of lossy compression holds for certain: 0 and 255."""
    if lost := [value for value, _ in label_map if value not in (0, 255)]:
        raise InputError(
            f"{path}: label_map {lost[0]}: lossy compression blurs values, so that this mask is 255 above {threshold}, "
            "and 0; expected these, or a PNG"
        )
    return np.where(above, np.uint8(255), np.uint8(0))


def _values(
    path: Path, mask: Image.Image, rule: LabelRule, more: Collection[int], *, spread: float, official: bool
) -> Values:
    """Whole numbers (H, W); ``more`` are values beside the rule's that a mask may have."""
    known, anything = {*rule.foreground, *(rule.background or ()), *rule.ignore, *more}, rule.background is None
    if mask.mode == "P" and not official:
        return palette_values(path, mask, known, anything=anything, asked=more)
    values = np.asarray(mask)
    if values.dtype == bool:
        values, white = values.astype(np.uint8), 255 if means_shown(more, {0, 1}, {0, 255}) else 1
        lost = sorted({*more} - {0, white})
        note = f"label_map {', '.join(map(str, lost))}: a mask of 1 bit has 0 and {white}" if lost else ""
        return Values(values * np.uint8(white), note)
    if spread != 1:
        stored, shown = _stored(values, spread), values_in(values)
        among = values_in(stored)
        fit = [bool(found & known) if anything else found <= known for found in (among, shown)]
        # white is 255 of files that a program packed into few bits, whatever these hold
        as_shown = fit == [False, True] or means_shown(more, among, shown)
        return Values(values if as_shown else stored)
    return Values(whole_numbers(path, values, "mask values"))


def _stored(values: NDArray[Any], spread: float) -> NDArray[Any]:
    """The values of a file that Pillow has spread."""
    return np.rint(values / spread).astype(values.dtype)


def read_values(path: Path) -> UInt8:
    """The values of a gray or paletted mask of 8 bits or fewer, uint8 (H, W), as they are stored.

    Raises:
        InputError: damaged, or no such mask.
    """
    opened = open_image(path, 0)
    mask = opened.image
    if mask.mode not in ("1", "L", "P"):
        raise InputError(f"{path}: a mask of mode {mask.mode}; expected one number of 8 bits a pixel")
    values = np.asarray(mask).astype(np.uint8, copy=False)
    return values if opened.spread == 1 else _stored(values, opened.spread)


def values_in(mask: NDArray[Any]) -> set[int]:
    """The different values of a mask."""
    if mask.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    return set(np.unique(mask).astype(int).tolist())


def _is_gray(image: Image.Image, *, blur: int = 0) -> bool:
    """Whether the channels are the same, but for what a lossy compression makes of it."""
    if not blur:
        red, green, blue = image.split()
        return red.tobytes() == green.tobytes() == blue.tobytes()
    values = np.asarray(image)
    return int((values.max(-1) - values.min(-1)).max()) <= blur


def _check_size(path: Path, mask: Image.Image, rule: LabelRule, size: tuple[int, int]) -> None:
    height, width = size
    if mask.size == (width, height):
        return
    sizes = f"{path}: the mask is {mask.width}x{mask.height}, its image {width}x{height}"
    if not rule.resize:
        turned = "; one of the two is turned" if mask.size == (height, width) else ""
        raise InputError(f"{sizes} (width x height){turned}")
    if abs(mask.width * height / (mask.height * width) - 1) > SHAPE_TOLERANCE:
        raise InputError(f"{sizes} (width x height), of another shape, so it is no smaller or larger copy")


def _by_value(path: Path, values: NDArray[Any], rule: LabelRule) -> ReadLabel:
    present = values_in(values)
    if rule.background is not None:
        known = {*rule.foreground, *rule.background, *rule.ignore}
        if strange := sorted(present - known):
            shown = ", ".join(map(str, strange[:5])) + (", ..." if len(strange) > 5 else "")
            means = ""
            if len(strange) == 1 and not rule.several and not present & set(rule.foreground):
                means = f"; --label_map {strange[0]}:{rule.foreground[0]} where {strange[0]} is the target"
            raise InputError(f"{path}: mask values {shown}; expected {', '.join(map(str, sorted(known)))}{means}")
    if rule.either and len(targets := sorted(present & set(rule.foreground))) > 1:
        raise InputError(
            f"{path}: mask values {' and '.join(map(str, targets))}; expected one foreground value in a mask"
        )
    classes = rule.foreground if rule.several else (rule.foreground,)
    return _read(np.stack([_among(values, which) for which in classes]), ~_among(values, rule.ignore)[None])


def _among(values: NDArray[Any], chosen: int | Collection[int]) -> NDArray[np.bool_]:
    """Where one of the chosen values is; of 8 bits by a table, which is several times as fast."""
    listed = [chosen] if isinstance(chosen, int) else list(chosen)
    if values.dtype != np.uint8:
        return np.isin(values, listed)
    table = np.zeros(256, np.bool_)
    table[[value for value in listed if 0 <= value < 256]] = True
    found: NDArray[np.bool_] = table[values]
    return found


def _read(label: NDArray[np.bool_], valid: NDArray[np.bool_]) -> ReadLabel:
    return ReadLabel(label.astype(np.uint8), valid.astype(np.uint8))
