"""What becomes of predictions of images: masks and probabilities as PNG. Those of volumes are NIfTI, see
:mod:`segxfer3d.data.io.nifti`.

Every file is written whole or not at all, see :mod:`segxfer3d.files`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from segxfer3d import files
from segxfer3d.data.io.palettes import palette_color
from segxfer3d.errors import InputError


def write_mask(path: Path, mask: NDArray[np.integer], classes: Mapping[int, str], *, turn: int = 1) -> None:
    """Write the label map of an image as PNG, or as TIFF where the path ends so.

    Of one class: gray, 0 and 255, which any viewer shows. Of several: paletted, the index is the class's value, as the
    masks of PASCAL VOC (whose colors these are).

    Args:
        path: of the file, see :func:`image_ending`.
        mask: (rows, columns) of label values.
        classes: label value to name.
        turn: EXIF orientation of the image, which the file gets too, so that viewers turn both alike.

    Raises:
        InputError: a class's value does not fit into the palette (above 255), or the file cannot be written.
    """
    if len(classes) == 1:
        image = Image.fromarray(np.where(mask == next(iter(classes)), 255, 0).astype(np.uint8))
    else:
        if strange := [value for value in classes if not 0 < value < 256]:
            raise InputError(f"{path}: a paletted PNG holds the class values 1 to 255, not {strange[0]}")
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette([part for value in range(256) for part in palette_color(value)])
    _write(path, image, turn)


def write_probability(path: Path, probability: NDArray[np.floating], *, turn: int = 1) -> None:
    """Write the probabilities (rows, columns) of one class as gray file of 16 bits: 0 is 0, 65535 is 1; ``turn`` as of
    :func:`write_mask`.

    Raises:
        InputError: it cannot be written.
    """
    _write(path, Image.fromarray(np.rint(probability * 65535.0).astype(np.uint16)), turn)


def image_ending(source: Path | None, turn: int) -> str:
    """The ending of what is written of an image: ``.png``, or ``.tif`` where the image is a TIFF with an orientation.

    ITK, Pillow and others turn a TIFF, each in its own way, and a PNG never: a mask overlays such an image in all of
    them if it is a TIFF with the same orientation.
    """
    return ".tif" if turn != 1 and source is not None and source.suffix.lower() in (".tif", ".tiff") else ".png"


def _write(path: Path, image: Image.Image, turn: int) -> None:
    content = io.BytesIO()
    if path.suffix == ".tif":  # compressed, for Pillow scrambles plain ones that lie on their side
        image.save(content, "TIFF", tiffinfo={ExifTags.Base.Orientation: turn}, compression="tiff_lzw")
    else:
        exif = Image.Exif()
        if turn != 1:
            exif[ExifTags.Base.Orientation] = turn
        image.save(content, "PNG", exif=exif)
    files.write_bytes(path, content.getvalue())
