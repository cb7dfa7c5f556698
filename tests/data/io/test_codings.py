"""Masks of few bits: the numbers that the file holds, whatever Pillow makes of them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.case import LabelRule
from segxfer3d.data.io.images import read_image
from segxfer3d.data.io.labels import read_label, read_values
from segxfer3d.errors import InputError
from tests.data.image_files import save

VALUES = np.array([[0, 1, 2, 3, 1], [3, 3, 0, 0, 2], [1, 0, 2, 0, 0]])
CLASSES = LabelRule((1, 2, 3), several=True)
TARGET = LabelRule((1, 255), either=True)


def packed(values, bits):
    """Rows of bytes."""
    for row in values:
        held = "".join(format(int(value), f"0{bits}b") for value in row)
        held += "0" * (-len(held) % 8)
        yield bytes(int(held[at : at + 8], 2) for at in range(0, len(held), 8))


def png(path, values, bits, palette=None):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3 if palette else 0, 0, 0, 0))]
    parts += [chunk(b"PLTE", bytes(palette))] if palette else []
    rows = b"".join(b"\0" + row for row in packed(values, bits))
    parts += [chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def tiff(path, values, bits, palette=None):
    height, width = values.shape
    data = b"".join(packed(values, bits))
    kinds = [(256, width), (257, height), (258, bits), (259, 1), (262, 3 if palette else 1), (277, 1), (278, height)]
    count = len(kinds) + 2 + bool(palette)
    after = 8 + 2 + 12 * count + 4
    tags = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in kinds]
    colors = struct.pack(f"<{len(palette)}H", *palette) if palette else b""
    tags.insert(5, struct.pack("<HHII", 273, 4, 1, after + len(colors)))
    tags.append(struct.pack("<HHII", 279, 4, 1, len(data)))
    tags += [struct.pack("<HHII", 320, 3, len(palette), after)] if palette else []
    head = struct.pack("<2sHIH", b"II", 42, 8, count)
    path.write_bytes(head + b"".join(tags) + struct.pack("<I", 0) + colors + data)
    return path


def netpbm(path, values, most):
    height, width = values.shape
    held = values if path.suffix == ".pgm" else np.stack([values] * 3, -1)
    magic = "P5" if path.suffix == ".pgm" else "P6"
    path.write_bytes(
        f"{magic} {width} {height} {most}\n".encode() + held.astype(">u2" if most > 255 else "u1").tobytes()
    )
    return path


def jpeg_2000(path, values, bits):
    """Of few bits: values are coded around the middle of their range, which the header tells."""
    more = 16 if bits > 8 else 8
    moved = np.asarray(values) + 2 ** (more - 1) - 2 ** (bits - 1)
    Image.fromarray(moved.astype(np.uint16 if more == 16 else np.uint8)).save(path, irreversible=False)
    content = bytearray(path.read_bytes())
    content[content.find(b"\xff\x4f\xff\x51") + 42] = bits - 1
    content[content.find(b"ihdr") + 14] = bits - 1
    path.write_bytes(content)
    return path


WRITERS = {
    "2.png": lambda path, values: png(path, values, 2),
    "4.png": lambda path, values: png(path, values, 4),
    "palette2.png": lambda path, values: png(path, values, 2, [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]),
    "2.tif": lambda path, values: tiff(path, values, 2),
    "4.tif": lambda path, values: tiff(path, values, 4),
    "palette4.tif": lambda path, values: tiff(path, values, 4, [1000 * value for value in range(48)]),
    "3.pgm": lambda path, values: netpbm(path, values, 3),
    "20.pgm": lambda path, values: netpbm(path, values, 20),
    "1000.pgm": lambda path, values: netpbm(path, values, 1000),
    "20.ppm": lambda path, values: netpbm(path, values, 20),
    "4.jp2": lambda path, values: jpeg_2000(path, values, 4),
    "12.jp2": lambda path, values: jpeg_2000(path, values, 12),
}


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_a_mask_has_the_numbers_of_its_file(name, official, tmp_path):
    path = WRITERS[name](tmp_path / name, VALUES)
    read = read_label(path, CLASSES, VALUES.shape, official=official)
    np.testing.assert_array_equal(read.label, [value == VALUES for value in (1, 2, 3)])
    only = read_label(path, LabelRule((3,), None), VALUES.shape, official=official)
    np.testing.assert_array_equal(only.label[0], VALUES == 3)
    if name not in ("1000.pgm", "12.jp2", "20.ppm"):
        np.testing.assert_array_equal(read_values(path), VALUES)


@pytest.mark.parametrize("name", ["2.png", "2.tif", "3.pgm"])
def test_white_of_few_bits_is_255_where_that_is_what_a_mask_may_have(name, tmp_path):
    for values in (VALUES == 3, 3 * (VALUES == 3)):
        path = WRITERS[name](tmp_path / name, values.astype(int))
        np.testing.assert_array_equal(read_label(path, TARGET, VALUES.shape).label[0], VALUES == 3)
    path = WRITERS[name](tmp_path / name, VALUES)
    with pytest.raises(InputError, match=rf"{name}: mask values 2, 3; expected 0, 1, 255$"):
        read_label(path, TARGET, VALUES.shape)
    for target in (255, 3):
        read = read_label(path, LabelRule((target,), None), VALUES.shape)
        np.testing.assert_array_equal(read.label[0], VALUES == 3)
    mapped = read_label(path, CLASSES, VALUES.shape, label_map=((85, 3), (170, 1), (255, 2)))
    np.testing.assert_array_equal(mapped.label, [value == VALUES for value in (2, 3, 1)])


@pytest.mark.parametrize("name", ["2.png", "2.tif", "3.pgm"])
def test_an_image_of_few_bits_goes_from_black_to_white(name, tmp_path):
    image = read_image(WRITERS[name](tmp_path / name, VALUES), 1).array
    np.testing.assert_array_equal(image[0], 85 * VALUES)


def test_a_mask_of_8_bits_is_as_it_was(tmp_path):
    path = save(tmp_path / "a.png", VALUES.astype(np.uint8))
    np.testing.assert_array_equal(read_values(path), VALUES)
    np.testing.assert_array_equal(read_label(path, LabelRule((3,), None), VALUES.shape).label[0], VALUES == 3)
