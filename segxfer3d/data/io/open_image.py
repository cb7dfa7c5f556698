"""Opening image files with Pillow: whole, one page of them, with what their headers say before anything is decoded."""

from __future__ import annotations

import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from segxfer3d.data.io import guard
from segxfer3d.data.io.codings import is_deep, is_lossy, spread_of
from segxfer3d.errors import InputError

_UNREADABLE = (  # what Pillow ends in, among it the look for a tag that is not there
    OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError, LookupError,
    TypeError, OverflowError,
)  # fmt: skip
_LARGE = 2**28  # bytes of an image beyond which its file has to hold a byte for so many pixels:
_MOST_PIXELS = 20_000  # a blank page of fax has about 15,000, and every other format of use fewer
_COPIES = 4  # of its pixels that reading an image may take
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _DESCRIPTION = 254, 255, 270  # tags of TIFF
_ONE_PICTURE = ("MPO",)  # a photo with smaller pictures behind it, as cameras write; viewers show the first
_PNG_TEXT = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks that may hold EXIF
# what undoes the turn of an EXIF orientation
_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_SWAPPING = (5, 6, 7, 8)  # EXIF orientations that swap width and height

_limit = threading.Lock()  # Pillow's limit on pixels is one for the whole program


class Opened(NamedTuple):
    """An image as Pillow decodes it.

    Attributes:
        image: decoded, its pixels as they are stored; its EXIF says how viewers turn it.
        format: of the file, in Pillow's words.
        deep: whether the file has more than 8 bits a channel, which Pillow may have cut.
        lossy: whether the file is compressed in a way that blurs values.
        spread: by which Pillow multiplied the file's values, see :func:`~segxfer3d.data.io.codings.spread_of`.
    """

    image: Image.Image
    format: str
    deep: bool
    lossy: bool = False
    spread: float = 1.0


def open_image(path: Path, page: int | None = None) -> Opened:
    """A whole image.

    Args:
        path: of the file.
        page: number of the page or frame, from 0; None: the only one.

    Raises:
        InputError: no such file, damaged or truncated, no image, larger than memory, or with several pages where one is
            expected.
    """
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    with header_of(path) as image:
        _require_memory(path, image.size, 1)  # before frames are counted, for which some formats decode them
        if page is None:
            if why := _why_not_one(path, image):
                raise InputError(f"{path}: {why}")
        elif page:
            image.seek(page)
        bytes_a_pixel = len(image.getbands()) * (4 if image.mode[0] in "IF" else 1)
        _require_memory(path, image.size, bytes_a_pixel)
        deep, spread = is_deep(path, image), spread_of(path, image)
        turn = _orientation_of_tiff(image)  # before Pillow turns it and forgets by what
        image.load()
        return Opened(_as_stored(image, turn), image.format or "", deep, is_lossy(path, image), spread)


@contextmanager
def header_of(path: Path) -> Iterator[Image.Image]:
    """A file that is opened, not decoded yet.

    Raises:
        InputError: it cannot be read; also what goes wrong with it inside the ``with``.
    """
    try:
        # of a path Pillow maps a plain TIFF into memory, and takes its rows for columns where the EXIF turns it; of a
        # file it does not
        with path.open("rb") as file, _opened(file) as image:
            yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image, or damaged") from error
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({error})") from error


def _opened(file: BinaryIO) -> Image.Image:
    with _limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the memory is the limit, see open_image
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def image_channels(path: Path) -> int:
    """1 where a file is gray, else 3; reads its header only.

    Raises:
        InputError: no image.
    """
    with header_of(path) as image:
        return 1 if image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F")) else 3


def size_and_turn(path: Path, page: int | None = None) -> tuple[tuple[int, int], int]:
    """Width and height as stored, and the EXIF orientation that the pixels have to be turned by, 1 to 8; 1 is none.

    Args:
        path: of the file.
        page: number of the page, from 0; None: the only one.

    Raises:
        InputError: no image, or one larger than memory.
    """
    with header_of(path) as image:
        if page:
            image.seek(page)
        if image.format == "TIFF":
            turn = _orientation_of_tiff(image)
            return (image.size[::-1] if turn in _SWAPPING else image.size), turn  # Pillow says the size when turned
        if image.format == "PNG":
            if _ends_with_text(path):
                _require_memory(path, image.size, len(image.getbands()))  # for Pillow decodes it to come there
                image.load()
            turn = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
        else:
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
        return image.size, turn if turn in range(1, 9) else 1


def _orientation_of_tiff(image: Image.Image) -> int:
    """Of the page that is open; 1 of any other format, too."""
    turn = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1) if image.format == "TIFF" else 1
    return turn if turn in _UNDO else 1


def _as_stored(image: Image.Image, turn: int) -> Image.Image:
    """A TIFF that Pillow turned by its orientation, turned back."""
    if turn == 1:
        return image
    stored = image.transpose(_UNDO[turn])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    stored.info["exif"] = exif.tobytes()
    return stored


def _ends_with_text(path: Path) -> bool:
    """Whether a PNG has chunks that may hold EXIF behind its pixels; none where it is damaged."""
    seen = False
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if seen and kind in _PNG_TEXT:
                return True
            seen = seen or kind == b"IDAT"
            file.seek(length + 4, 1)
    return False


def pages_of(path: Path) -> tuple[int, ...]:
    """The numbers of the pages of a TIFF that are images of their own, where there are several; else nothing.

    Smaller versions of a page and transparency masks are none. Nothing is found where pages may be channels or are of
    several sizes: :func:`open_image` refuses such a file.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return ()
    with suppress(InputError), header_of(path) as image:
        pages, why = _tiff_pages(image)
        return () if why or len(pages) < 2 else pages
    return ()


def _why_not_one(path: Path, image: Image.Image) -> str:
    """Why a file is not one image; empty where it is."""
    count = getattr(image, "n_frames", 1)
    if image.format == "TIFF":
        pages, why = _tiff_pages(image)
        return why or (f"{len(pages)} pages; expected one: a case for each page, or a file" if len(pages) > 1 else "")
    if count > 1 and image.format not in _ONE_PICTURE:
        return f"{count} frames (an animation); expected one: save each as a file of its own"
    return ""


def _tiff_pages(image: Image.Image) -> tuple[tuple[int, ...], str]:
    """The pages that are images of their own, and why they cannot be told."""
    tags = getattr(image, "tag_v2", {})
    about = str(tags.get(_DESCRIPTION, ""))
    held = re.search(r"^images=(\d+)", about, re.MULTILINE) if about.startswith("ImageJ") else None
    count = getattr(image, "n_frames", 1)
    if held and int(held[1]) > count:
        return (), f"an ImageJ stack of {held[1]} images behind one header; save it as an image sequence"
    if count == 1:
        return (0,), ""
    channels = re.search(r"^channels=(\d+)" if held else r'\bSizeC="(\d+)"', about, re.MULTILINE)
    pages, sizes = [], set()
    for number in range(count):
        image.seek(number)
        tags = getattr(image, "tag_v2", {})
        if not int(tags.get(_SUBFILE_TYPE, 0)) & 0b101 and tags.get(_OLD_SUBFILE_TYPE) != 2:
            pages.append(number)
            sizes.add(image.size)
    image.seek(0)
    if channels and int(channels[1]) > 1 and len(pages) > 1:
        return (), f"{len(pages)} pages of {channels[1]} channels; save it as one color or gray image a file"
    if len(sizes) > 1:
        return (), f"{len(pages)} pages of several sizes; save those that are meant as files of their own"
    return tuple(pages), ""


def _require_memory(path: Path, size: tuple[int, int], bytes_a_pixel: int) -> None:
    """Refuse what would not fit in memory, and a large image that its file is far too short for."""
    width, height = size
    needed = guard.size_of((height, width, bytes_a_pixel * _COPIES), np.dtype(np.uint8))
    if needed > guard.memory():
        raise InputError(
            f"{path}: an image of {width}x{height} pixels would take {needed / 2**30:.3g} GiB; this machine has "
            f"{guard.memory() / 2**30:.3g}; cut it into tiles, or save a smaller copy"
        )
    held = path.stat().st_size
    if width * height * bytes_a_pixel > _LARGE and width * height > _MOST_PIXELS * held:
        raise InputError(
            f"{path}: cannot be read, damaged: an image of {width}x{height} pixels in a file of {held} bytes"
        )
