import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.case import LabelRule
from segxfer3d.data.io.images import read_image, resize_with_padding
from segxfer3d.data.io.labels import read_label, read_values
from segxfer3d.data.io.open_image import image_channels
from segxfer3d.data.layouts.folder_images import RULE
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, save_paletted, square

SIZE = (12, 16)


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def deep_png(path, color):
    """A PNG of 16 bits a channel, which Pillow cannot write in color."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + bytes(8 * (6 if color else 2)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 8, 4, 16, 2 if color else 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_as_they_are(tmp_path, channels):
    pixels = noise(SIZE, channels)
    read = read_image(save(tmp_path / "a.png", pixels), channels)
    assert read.converted == ""
    assert read.array.dtype == np.uint8
    assert read.array.flags.c_contiguous
    np.testing.assert_array_equal(read.array, pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))
    assert image_channels(tmp_path / "a.png") == channels


@pytest.mark.parametrize(
    ("mode", "ending", "channels", "message"),
    [
        ("L", "jpg", 3, r"a gray image \(L\); expected a color image of 8 bits a channel \(RGB\)"),
        ("RGB", "jpg", 1, r"a color image \(RGB\); expected a gray image of 8 bits \(L\)"),
        ("RGBA", "png", 3, r"a color image with transparency \(RGBA\); expected a color image"),
        ("CMYK", "jpg", 3, r"a CMYK image \(CMYK\); expected a color image"),
        ("LA", "png", 1, r"a gray image with transparency \(LA\)"),
        ("P", "png", 3, r"a paletted image \(P\)"),
        ("1", "png", 1, r"a black-and-white image \(1\)"),
        ("LAB", "tif", 3, r"an image of another kind \(LAB\)"),
    ],
)
def test_other_kinds_are_refused_or_converted_in_official_data_sets(tmp_path, mode, ending, channels, message):
    pixels = noise(SIZE)
    if mode == "LAB":
        Image.fromarray(pixels).convert("RGB")
        path = tmp_path / "a.tif"
        Image.frombytes("LAB", SIZE[::-1], pixels.tobytes()).save(path)
    else:
        path = save(tmp_path / f"a.{ending}", pixels, mode)
    with pytest.raises(InputError, match=rf"a\.{ending}: {message}"):
        read_image(path, channels)
    if mode != "LAB":
        read = read_image(path, channels, official=True)
        assert read.array.shape == (channels, *SIZE)
        assert read.converted == mode


def test_transparency_is_dropped_in_official_data_sets(tmp_path):
    pixels = noise(SIZE)
    transparent = np.concatenate([pixels, np.zeros((*SIZE, 1), np.uint8)], -1)
    read = read_image(save(tmp_path / "a.png", transparent), 3, official=True)
    np.testing.assert_array_equal(read.array, pixels.transpose(2, 0, 1))
    image = Image.fromarray(pixels).quantize(16)
    image.save(tmp_path / "b.png", transparency=bytes(16))
    assert read_image(tmp_path / "b.png", 3, official=True).converted == "P"


@pytest.mark.parametrize("official", [False, True])
def test_deep_images_are_never_read(tmp_path, official):
    gray, color = deep_png(tmp_path / "gray.png", False), deep_png(tmp_path / "color.png", True)
    assert "gray.png: more than 8 bits a channel (I;16)" in refused(read_image, gray, 1, official=official)
    assert "color.png: more than 8 bits a channel (RGB)" in refused(read_image, color, 3, official=official)
    save(tmp_path / "float.tif", np.zeros(SIZE, np.float32))
    assert "(F); expected a gray image" in refused(read_image, tmp_path / "float.tif", 1, official=official)


def test_damaged_files(tmp_path):
    for ending in ("jpg", "png"):
        path = save(tmp_path / f"a.{ending}", noise((64, 64)))
        path.write_bytes(path.read_bytes()[:1500])
        assert f"a.{ending}: cannot be read, damaged or truncated (" in refused(read_image, path)
        assert "cannot be read, damaged" in refused(read_label, path, LabelRule(), (64, 64))
    (tmp_path / "text.jpg").write_text("no image")
    assert refused(read_image, tmp_path / "text.jpg").endswith("text.jpg: not an image, or damaged")
    assert "not an image" in refused(image_channels, tmp_path / "text.jpg")
    assert refused(read_image, tmp_path / "none.jpg").endswith("none.jpg: no such file")
    assert refused(read_image, tmp_path).endswith(": not a file")


def turned(path, array, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(path, array, exif=exif)


def test_orientation_turns_image_and_mask_alike_or_neither(tmp_path):
    image, mask = noise(SIZE), square()
    turned(tmp_path / "a.png", image, 6)
    shown = np.rot90(image, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, shown.transpose(2, 0, 1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", official=True).array, image.transpose(2, 0, 1))
    upright = save(tmp_path / "upright.png", np.rot90(mask, -1))  # drawn on the image as viewers show it
    with_tag = turned(tmp_path / "tag.png", mask, 6)
    for path in (upright, with_tag):
        read = read_label(path, LabelRule(), SIZE[::-1])
        np.testing.assert_array_equal(read.label[0], np.rot90(mask, -1))
    np.testing.assert_array_equal(read_label(with_tag, LabelRule(), SIZE, official=True).label[0], mask)
    message = refused(read_label, upright, LabelRule(), SIZE, official=True)
    assert message.endswith("the mask is 12x16, its image 16x12 (width x height); one of the two is turned")


def test_paletted_masks_are_read_by_index(tmp_path):
    values = square(value=3)
    values[0, 0] = 255
    path = save_paletted(tmp_path / "a.png", values)
    rule = LabelRule(foreground=(3,), background=(0, 1, 2), ignore=(255,))
    read = read_label(path, rule, SIZE)
    assert read.label.shape == read.valid.shape == (1, *SIZE)
    assert read.label.dtype == read.valid.dtype == np.uint8
    np.testing.assert_array_equal(read.label[0], values == 3)
    np.testing.assert_array_equal(read.valid[0], values != 255)
    np.testing.assert_array_equal(read_values(path), values)


def test_values_that_the_rule_does_not_know(tmp_path):
    trimap = square(value=4) + 1
    path = save(tmp_path / "a.png", trimap)
    rule = LabelRule(foreground=(1,), background=(2,), ignore=(3,))
    assert refused(read_label, path, rule, SIZE).endswith("a.png: mask values 5; expected 1, 2, 3")
    many = save(tmp_path / "b.png", noise(SIZE, 1))
    assert ", ...; expected 1, 2, 3" in refused(read_label, many, rule, SIZE)
    assert read_label(path, LabelRule(foreground=(5,), background=None), SIZE).label.sum() == 20
    deep = save(tmp_path / "c.png", square(value=700, dtype=np.uint16))
    assert refused(read_label, deep, rule, SIZE).endswith("mask values 0, 700; expected 1, 2, 3")
    assert read_label(deep, LabelRule(foreground=(700,)), SIZE).label.sum() == 20


def test_one_foreground_value_where_they_are_alternatives(tmp_path):
    rule = LabelRule(foreground=(1, 255), either=True)
    for value in (1, 255):
        assert read_label(save(tmp_path / "a.png", square(value=value)), rule, SIZE).label.sum() == 20
    both = square()
    both[0, 0] = 255
    path = save(tmp_path / "a.png", both)
    assert refused(read_label, path, rule, SIZE).endswith(
        "mask values 1 and 255; expected one foreground value in a mask"
    )
    assert read_label(save(tmp_path / "b.png", square().astype(bool)), rule, SIZE).label.sum() == 20


def test_jpeg_masks_need_a_threshold(tmp_path):
    path = save(tmp_path / "a.jpg", square((40, 40), 255), quality=60)
    assert "a JPEG as a mask, which blurs its values" in refused(read_label, path, LabelRule(), (40, 40))
    label = read_label(path, LabelRule(threshold=127), (40, 40)).label[0]
    assert (label == square((40, 40))).mean() > 0.99


def test_color_masks(tmp_path):
    flower = np.zeros((*SIZE, 3), np.uint8) + np.uint8([128, 128, 0])
    flower[square() > 0] = (128, 0, 0)
    path = save(tmp_path / "a.png", flower)
    read = read_label(path, LabelRule(color=(128, 0, 0)), SIZE)
    np.testing.assert_array_equal(read.label[0], square())
    assert read.valid.all()
    assert "a color mask (RGB); expected one number a pixel" in refused(read_label, path, LabelRule(), SIZE)
    gray = save(tmp_path / "gray.png", square(value=255), "RGB")
    assert read_label(gray, LabelRule(foreground=(255,)), SIZE).label.sum() == 20
    transparent = save(tmp_path / "rgba.png", square(), "RGBA")
    assert "transparency (RGBA) as a mask" in refused(read_label, transparent, LabelRule(), SIZE)
    outline = np.zeros((120, 120), bool)
    outline[30:90, 40:95] = True
    backdrop = np.where(outline[..., None], np.uint8([200, 180, 20]), np.uint8([0, 0, 254]))
    path = save(tmp_path / "b.jpg", backdrop, quality=90)
    rule = LabelRule(color=(0, 0, 254), tolerance=60, color_is_background=True)
    assert (read_label(path, rule, (120, 120)).label[0] == outline).mean() > 0.98


def test_masks_of_another_size_only_where_known_and_of_the_same_shape(tmp_path):
    path = save(tmp_path / "a.png", square())
    assert refused(read_label, path, LabelRule(), (24, 32)).endswith(
        "the mask is 16x12, its image 32x24 (width x height)"
    )
    rule = LabelRule(resize=True)
    np.testing.assert_array_equal(read_label(path, rule, (24, 32)).label[0], square().repeat(2, 0).repeat(2, 1))
    assert "of another shape" in refused(read_label, path, rule, (24, 30))
    smooth = read_label(
        save(tmp_path / "a.jpg", square(value=255), quality=95), LabelRule(threshold=127, resize=True), (120, 160)
    )
    assert smooth.label.mean() == pytest.approx(square().mean(), rel=0.1)
    colored = save(tmp_path / "c.png", np.stack([square(value=9), square(value=0), square(value=0)], -1))
    rule = LabelRule(color=(9, 0, 0), resize=True)
    assert read_label(colored, rule, (24, 32)).label.sum() == 80


def test_values_need_one_number_a_pixel(tmp_path):
    assert "a mask of mode RGB" in refused(read_values, save(tmp_path / "a.png", noise(SIZE)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("size", "content"),
    [((30, 20), (0, 2, 12, 8)), ((20, 30), (2, 0, 8, 12)), ((6, 3), (0, 3, 12, 6)), ((12, 12), (0, 0, 12, 12)),
     ((500, 2), (0, 5, 12, 1)), ((8, 5), (0, 2, 12, 8))],
)  # fmt: skip
def test_longer_side_fits_and_the_rest_is_zero(channels, size, content):
    array = np.full((channels, *size), 200, np.uint8)
    padded, found = resize_with_padding(array, 12)
    assert found == content
    top, left, height, width = content
    inside = padded[:, top : top + height, left : left + width]
    assert (inside == 200).all()
    assert padded.shape == (channels, 12, 12)
    assert padded.sum(dtype=int) == inside.sum(dtype=int)


def test_images_are_averaged_and_masks_are_not():
    stripes = np.zeros((1, 40, 40), np.uint8)
    stripes[:, :, ::2] = 255
    image = resize_with_padding(stripes, 10).array
    assert ((image > 100) & (image < 155)).all()
    mask = resize_with_padding(stripes // 255 * 7, 10, labels=True).array
    assert set(np.unique(mask)) <= {0, 7}
    pixels = noise((9, 9)).transpose(2, 0, 1)
    np.testing.assert_array_equal(resize_with_padding(pixels, 9).array, pixels)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.webp", {"quality": 50}), ("a.jp2", {"irreversible": True, "quality_layers": [8]}),
     ("a.tif", {"compression": "jpeg", "quality": 50}), ("a.jpg", {"quality": 50})],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_of_lossy_compression_have_a_threshold(tmp_path, name, options, channels):
    """Of 0 and 255 the compression leaves other values; of 0 and 1 it may leave none."""
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 16:40] = 255
    path = save(tmp_path / name, mask if channels == 1 else np.dstack([mask] * 3), **options)
    label = read_label(path, RULE, mask.shape).label[0]
    assert (label != (mask > 0)).mean() < 0.01
    with pytest.raises(InputError, match=rf"{name}: a .* as a mask, which blurs its values; expected a PNG"):
        read_label(path, LabelRule(foreground=(1,)), mask.shape)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_color_is_refused_where_it_is_used(tmp_path, channels):
    """The chunk tRNS of a PNG: one color or gray value that is not to be seen."""
    array = noise(channels=channels) | 1
    key = (8, 8, 8) if channels == 3 else 8
    opaque = save(tmp_path / "opaque.png", array, transparency=key)
    assert read_image(opaque, channels).array.shape == (channels, 12, 16)
    array[2, 3] = 8
    path = save(tmp_path / "a.png", array, transparency=key)
    with pytest.raises(
        InputError, match=r"a\.png: a (color|gray) image \(.*\) with transparent pixels; .*: save it on"
    ):
        read_image(path, channels)
    np.testing.assert_array_equal(
        read_image(path, channels, official=True).array, np.atleast_3d(array).transpose(2, 0, 1)
    )
