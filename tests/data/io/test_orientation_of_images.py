"""Pixels as they are stored, and the EXIF orientation that viewers turn them by, of every format that has one."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.io import guard
from segxfer3d.data.io.images import read_image
from segxfer3d.data.io.labels import read_label
from segxfer3d.data.io.open_image import open_image, size_and_turn
from segxfer3d.data.layouts.folder_images import RULE
from segxfer3d.errors import InputError
from tests.data.image_files import noise, square

STORED = noise((5, 7), 1)
# what a viewer shows of it, by the EXIF standard: where the stored row 0 and column 0 lie
SHOWN = {
    1: STORED,
    2: STORED[:, ::-1],
    3: STORED[::-1, ::-1],
    4: STORED[::-1],
    5: STORED.T,
    6: STORED.T[:, ::-1],
    7: STORED.T[::-1, ::-1],
    8: STORED.T[::-1],
}


def tiff(path, array, orientation, compression=None, **options):
    Image.fromarray(array).save(path, tiffinfo={274: orientation}, compression=compression, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_is_read_as_stored_and_as_shown(tmp_path, orientation, compression, channels):
    """Pillow turns a TIFF itself; of one that is plain and gray it then takes rows for columns."""
    array = STORED if channels == 1 else np.dstack([STORED] * 3)
    path = tiff(tmp_path / "a.tif", array, orientation, compression)
    assert size_and_turn(path) == ((7, 5), orientation)
    np.testing.assert_array_equal(np.asarray(open_image(path).image), array)
    for turn, right in ((False, STORED), (True, SHOWN[orientation])):
        read = read_image(path, channels, turn=turn).array
        assert read.shape == (channels, *right.shape)
        np.testing.assert_array_equal(read[0], right)


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_mask_in_tiff_too(tmp_path, orientation):
    mask = square(value=255)
    path = tiff(tmp_path / "a.tif", mask, orientation)
    np.testing.assert_array_equal(read_label(path, RULE, mask.shape, turn=False).label[0], mask > 0)
    shown = mask[::-1, ::-1] if orientation == 3 else mask.T[:, ::-1]
    np.testing.assert_array_equal(read_label(path, RULE, shown.shape).label[0], shown > 0)


def test_a_converted_tiff_is_turned(tmp_path):
    path = tiff(tmp_path / "a.tif", STORED, 6)
    read = read_image(path, 3, convert=True)
    assert read.converted == "L"
    np.testing.assert_array_equal(read.array, np.stack([SHOWN[6]] * 3))


def test_each_page_has_its_own(tmp_path):
    second = Image.fromarray(STORED)
    second.encoderinfo = {"tiffinfo": {274: 8}}
    Image.fromarray(STORED).save(tmp_path / "a.tif", save_all=True, append_images=[second], tiffinfo={274: 3})
    for page, orientation in enumerate((3, 8)):
        assert size_and_turn(tmp_path / "a.tif", page) == ((7, 5), orientation)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 1, page=page).array[0], SHOWN[orientation])


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_png_says_it_before_or_behind_its_pixels(tmp_path, orientation, place):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(STORED).save(path, exif=exif)
    if place == "behind":
        path.write_bytes(with_exif_last(path.read_bytes()))
    assert size_and_turn(path) == ((7, 5), orientation)
    np.testing.assert_array_equal(read_image(path, 1).array[0], SHOWN[orientation])


@pytest.mark.parametrize("text", [b"", b"tEXta\0b"])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path, text):
    """Pillow decodes a PNG when it is asked for its EXIF."""
    side = 400_000
    assert 4 * side**2 > guard.memory()
    header = chunk(b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT" + zlib.compress(b"\0" * 1000))
    content = b"\x89PNG\r\n\x1a\n" + header + pixels + (chunk(text) if text else b"") + chunk(b"IEND")
    (tmp_path / "a.png").write_bytes(content)
    why = r"a\.png: an image of 400000x400000 pixels would take .*; cut it into tiles"
    with pytest.raises(InputError, match=why):
        open_image(tmp_path / "a.png")
    if not text:
        assert size_and_turn(tmp_path / "a.png") == ((side, side), 1)
        return
    with pytest.raises(InputError, match=why):
        size_and_turn(tmp_path / "a.png")


def chunk(content):
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def with_exif_last(content):
    """The chunks of a PNG, eXIf behind the pixels, as some programs write it."""
    chunks, at = [], 8
    while at < len(content):
        length = struct.unpack_from(">I", content, at)[0] + 12
        chunks.append(content[at : at + length])
        at += length
    last = [part for part in chunks if part[4:8] == b"eXIf"]
    return content[:8] + b"".join([part for part in chunks[:-1] if part not in last] + last + chunks[-1:])
