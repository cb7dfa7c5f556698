"""How image files code their values: in how many bits, compressed how, and what Pillow makes of few bits."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from PIL import Image

_BITS = 258  # a tag of TIFF


def is_deep(path: Path, image: Image.Image) -> bool:
    """Whether a file has more than 8 bits a channel; of color Pillow gives 8 of them without a word."""
    if image.mode.startswith(("I", "F")):
        return True
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:] == b"\x10"  # the bit depth in a PNG's header
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS, 8)
        return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)
    if image.format == "JPEG2000":
        return _bits_of_jpeg_2000(path) > 8
    if image.format == "PPM":
        tiles = getattr(image, "tile", None)
        arguments = tiles[0].args if tiles else ()
        return isinstance(arguments, tuple) and len(arguments) == 2 and int(arguments[1]) > 255
    return False


def spread_of(path: Path, image: Image.Image) -> float:
    """By which Pillow multiplies the values of a file with fewer bits than the image that it makes of it; 1 for others.

    2 and 4 bits of gray go from 0 to 255 (PNG, TIFF), and so does any largest value that a netpbm file names; those of
    JPEG 2000 move to the highest bits. Numbers of classes, which masks hold, are none of these.

    Args:
        path: of the file.
        image: opened, not decoded yet.
    """
    deep = image.mode.startswith("I")
    if image.format == "JPEG2000":
        return float(2 ** max(0, (16 if deep else 8) - _bits_of_jpeg_2000(path)))
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ()
    if image.format == "PPM" and isinstance(arguments, tuple) and len(arguments) == 2:
        return (65535 if deep else 255) / int(arguments[1])
    coding = arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""
    few = re.match(r"L;([24])", coding)
    return 255 / (2 ** int(few[1]) - 1) if few else 1.0


def is_lossy(path: Path, image: Image.Image) -> bool:
    """Whether values are blurred: JPEG, also in a TIFF, WebP and JPEG 2000 but for their lossless forms."""
    if image.format == "TIFF":
        return image.info.get("compression") in ("jpeg", "tiff_jpeg", "webp")
    if image.format == "WEBP":
        head = _head(path)  # the image is a chunk "VP8 " or, lossless, "VP8L"; of an extended file not the first
        return head[12:16] == b"VP8 " or (head[12:16] == b"VP8X" and b"VP8 " in head)
    if image.format == "JPEG2000":
        head = _head(path)
        at = head.find(
            b"\xff\x52", max(0, head.find(b"\xff\x4f\xff\x51"))
        )  # the marker COD (ISO 15444-1, A.6.1), whose transformation 0 is the irreversible
        return at >= 0 and len(head) > at + 13 and head[at + 13] == 0
    return image.format in ("JPEG", "MPO")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 16)


def _bits_of_jpeg_2000(path: Path) -> int:
    """The most bits of a component, by the marker SIZ of the code stream (ISO 15444-1, A.5.1)."""
    head = _head(path)
    at = head.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(head) < at + 42:
        return 8
    (count,) = struct.unpack_from(">H", head, at + 40)
    sizes = head[at + 42 : at + 42 + 3 * count : 3]
    return max(((size & 0x7F) + 1 for size in sizes), default=8)
