"""What the headers of image files say: depth, pages, size, and what is refused for it."""

import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from segxfer3d.data.io import guard
from segxfer3d.data.io.images import read_image
from segxfer3d.data.io.open_image import open_image, pages_of
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save


def tiff16(path, array):
    """An uncompressed TIFF of 16 bits a channel, which Pillow cannot write in color."""
    height, width, channels = array.shape
    data, count = array.astype("<u2").tobytes(), 9
    after = 8 + 2 + 12 * count + 4
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, after), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, after + 2 * channels), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    head = struct.pack("<2sHIH", b"II", 42, 8, count)
    for tag, kind, number, value in tags:
        short = kind == 3 and number == 1
        head += struct.pack("<HHI", tag, kind, number) + struct.pack("<HH" if short else "<I", *(value, 0)[: 1 + short])
    path.write_bytes(head + struct.pack("<I", 0) + struct.pack("<3H", 16, 16, 16) + data)
    return path


def test_color_of_more_than_8_bits_is_refused(tmp_path):
    deep = noise((12, 16)).astype(np.uint16) * 16
    files = [tiff16(tmp_path / "a.tif", deep)]
    (tmp_path / "b.ppm").write_bytes(b"P6 16 12 4095\n" + deep.astype(">u2").tobytes())
    files.append(tmp_path / "b.ppm")
    for file in files:
        with pytest.raises(InputError, match=rf"{file.name}: more than 8 bits a channel \(RGB\); .* by one rule"):
            read_image(file)


def test_jpeg_2000_of_16_bits_is_refused(tmp_path):
    Image.fromarray(noise((32, 32), 1).astype(np.uint16)).save(tmp_path / "a.jp2")
    with pytest.raises(InputError, match=r"a\.jp2: more than 8 bits a channel \(I;16\)"):
        read_image(tmp_path / "a.jp2", 1)
    pixels = noise((32, 32))
    Image.fromarray(pixels).save(tmp_path / "b.jp2", irreversible=False)
    np.testing.assert_array_equal(read_image(tmp_path / "b.jp2").array, pixels.transpose(2, 0, 1))


def pages(path, arrays, **options):
    first, *rest = [Image.fromarray(array) for array in arrays]
    first.save(path, save_all=True, append_images=rest, **options)
    return path


def test_pages_and_animations(tmp_path):
    path = pages(tmp_path / "a.tif", [noise(seed=0), noise(seed=1)])
    assert pages_of(path) == (0, 1)
    with pytest.raises(InputError, match=r"a\.tif: 2 pages; expected one"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, page=1).array, noise(seed=1).transpose(2, 0, 1))
    sizes = pages(tmp_path / "b.tif", [noise((12, 16)), noise((6, 8))])
    assert pages_of(sizes) == ()
    with pytest.raises(InputError, match=r"b\.tif: 2 pages of several sizes"):
        read_image(sizes)
    gif = pages(tmp_path / "c.gif", [noise((12, 16), 1), noise((12, 16), 1, 1)])
    with pytest.raises(InputError, match=r"c\.gif: 2 frames \(an animation\)"):
        read_image(gif)


def test_smaller_versions_of_a_page_are_none(tmp_path):
    """As a TIFF's tag 254 says: bit 0."""
    first, small = Image.fromarray(noise()), Image.fromarray(noise((6, 8)))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(1)
        assert image.tag_v2.get(254) == 1
    assert pages_of(tmp_path / "a.tif") == ()
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, noise().transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("ImageJ=1.53\nimages=6\nchannels=3\nslices=2\n", "ImageJ stack of 6 images behind one header"),
        ("ImageJ=1.53\nimages=2\nchannels=2\n", "2 pages of 2 channels"),
        ('<OME><Pixels SizeC="2" SizeZ="1"/></OME>', "2 pages of 2 channels"),
    ],
)
def test_pages_that_are_channels_are_refused(tmp_path, about, message):
    path = pages(tmp_path / "a.tif", [noise(channels=1), noise(channels=1)], tiffinfo={270: about})
    assert pages_of(path) == ()
    with pytest.raises(InputError, match=message):
        read_image(path, 1)


def test_large_images_are_read_and_larger_than_memory_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would warn of 12x16 pixels, and refuse twice as many
    path = save(tmp_path / "a.png", noise())
    assert read_image(path).array.shape == (3, 12, 16)
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setattr(guard, "memory", lambda: 2000)
    with pytest.raises(InputError, match=r"a\.png: an image of 16x12 pixels would take .* cut it into tiles"):
        open_image(path)


def test_a_short_file_of_a_huge_image_takes_no_memory(tmp_path, monkeypatch):
    """Not every decoder looks at how long its file is before it takes memory for all pixels."""
    path = save(tmp_path / "a.gif", np.zeros((20, 20), np.uint8))
    content = bytearray(path.read_bytes())
    content[6:10] = b"\x00\x80\x00\x80"  # the size of the screen: 32768 x 32768
    path.write_bytes(content)

    def decoded(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", decoded)
    monkeypatch.setattr(guard, "memory", lambda: 2**40)
    with pytest.raises(
        InputError, match=rf"a\.gif: .*an image of 32768x32768 pixels in a file of {len(content)} bytes"
    ):
        open_image(path)


def test_other_kinds_are_converted_where_that_is_asked_for(tmp_path):
    gray, color = noise(channels=1), noise()
    as_color = read_image(save(tmp_path / "a.png", gray), 3, convert=True)
    np.testing.assert_array_equal(as_color.array, [gray] * 3)
    assert as_color.converted == "L"
    as_gray = read_image(save(tmp_path / "b.png", color), 1, convert=True)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(as_gray.array[0] - color @ weights).max() <= 1
    opaque = np.concatenate([color, np.full((12, 16, 1), 255, np.uint8)], -1)
    np.testing.assert_array_equal(
        read_image(save(tmp_path / "c.png", opaque), 3, convert=True).array, color.transpose(2, 0, 1)
    )
    opaque[0, 0, 3] = 9
    with pytest.raises(InputError, match=r"d\.png: .*\(RGBA\) with transparent pixels; .* save it on a background"):
        read_image(save(tmp_path / "d.png", opaque), 3, convert=True)
    with pytest.raises(InputError, match=r"a\.png: a gray image \(L\); .*; --image_kind color converts it"):
        read_image(tmp_path / "a.png", 3)


@pytest.mark.parametrize(
    ("name", "options", "lossy"),
    [
        ("a.jpg", {}, True),
        ("a.webp", {"quality": 50}, True),
        ("a.webp", {"quality": 50, "exif": b"Exif\0\0"}, True),
        ("a.webp", {"lossless": True}, False),
        ("a.jp2", {"irreversible": True}, True),
        ("a.jp2", {}, False),
        ("a.tif", {"compression": "jpeg"}, True),
        ("a.tif", {"compression": "tiff_lzw"}, False),
        ("a.png", {}, False),
    ],
)
def test_lossy_compression_is_seen(tmp_path, name, options, lossy):
    path = save(tmp_path / name, noise((64, 64)), **options)
    assert open_image(path).lossy is lossy
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), noise((64, 64))) is not lossy


@pytest.mark.parametrize("error", [KeyError(256), IndexError("tile"), TypeError("None"), OverflowError("long")])
def test_whatever_a_reader_ends_in_is_a_damaged_file(tmp_path, monkeypatch, error):
    path = save(tmp_path / "a.tif", noise((8, 8)))

    def n_frames(_):
        raise error

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(n_frames))
    with pytest.raises(InputError, match=r"a\.tif: cannot be read, damaged or truncated"):
        open_image(path)
    assert pages_of(path) == ()
