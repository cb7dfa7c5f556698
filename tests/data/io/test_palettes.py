"""Paletted masks: what a viewer shows decides, unless the palette is VOC's or index 0 is dark."""

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.case import LabelRule
from segxfer3d.data.io.labels import read_label
from segxfer3d.data.io.palettes import BY_COLOR, palette_color
from segxfer3d.data.layouts.folder_images import RULE
from segxfer3d.errors import InputError
from tests.data.image_files import save, save_paletted, square

SIZE = (12, 16)
BLACK, WHITE, RED, GREEN = [0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0]
VOC = [part for value in range(256) for part in palette_color(value)]
TARGET = square().astype(bool)


@pytest.mark.parametrize(
    ("palette", "values", "found", "note"),
    [
        ([*BLACK, *WHITE], square(), TARGET, ""),
        ([*WHITE, *BLACK], 1 - square(), TARGET, BY_COLOR),  # as pngquant and PIL's quantize write white on black
        ([*WHITE, *BLACK], square(), ~TARGET, BY_COLOR),  # black on white: white is the target, as viewers show it
        ([*BLACK, *RED], square(), TARGET, ""),
        ([*BLACK, 128, 128, 128], square(), TARGET, ""),
        (VOC, square(), TARGET, ""),
        ([value for value in range(256) for _ in range(3)], square(value=255), TARGET, ""),
        ([*WHITE, *BLACK], square() * 0, ~TARGET | TARGET, BY_COLOR),
        ([*BLACK, *WHITE], square() * 0, TARGET & False, ""),
    ],
)
def test_white_is_the_target_whatever_its_index(tmp_path, palette, values, found, note):
    read = read_label(save_paletted(tmp_path / "a.png", values, palette), RULE, SIZE)
    np.testing.assert_array_equal(read.label[0].astype(bool), found)
    assert read.note == note


def test_the_files_that_quantize_writes(tmp_path):
    Image.fromarray(square(value=255)).quantize(2).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, image.getpalette()[:3]) == ("P", WHITE)
    np.testing.assert_array_equal(read_label(tmp_path / "a.png", RULE, SIZE).label[0], square())


@pytest.mark.parametrize("palette", [[*RED, *BLACK], [*GREEN, *RED]])
def test_a_bright_background_is_refused(tmp_path, palette):
    path = save_paletted(tmp_path / "a.png", square(), palette)
    with pytest.raises(InputError, match=r"a\.png: a palette whose index 0, the background, is not its darkest color"):
        read_label(path, RULE, SIZE)
    assert read_label(path, RULE, SIZE, official=True).label.sum() == 20


def test_voc_masks_stay_class_indices(tmp_path):
    values = square(value=15)
    values[0] = 255
    rule = LabelRule(foreground=(15,), background=(0,), ignore=(255,))
    read = read_label(save_paletted(tmp_path / "a.png", values, VOC), rule, SIZE)
    np.testing.assert_array_equal(read.label[0], values == 15)
    np.testing.assert_array_equal(read.valid[0], values != 255)


def test_declared_values_by_what_is_shown(tmp_path):
    palette = [*WHITE, *BLACK, 128, 128, 128]
    values = square() * 0 + 1
    values[2:5] = 2
    values[6:8] = 0
    path = save_paletted(tmp_path / "a.png", values, palette)
    rule = LabelRule(foreground=(128, 255), background=(0,), several=True)
    np.testing.assert_array_equal(read_label(path, rule, SIZE).label, [values == 2, values == 0])
    # a number as target: what the palette shows of it, else the index
    target = LabelRule(foreground=(128,), background=None)
    np.testing.assert_array_equal(read_label(path, target, SIZE).label[0], values == 2)
    target = LabelRule(foreground=(2,), background=None)
    np.testing.assert_array_equal(read_label(path, target, SIZE).label[0], values == 2)


def test_values_stored_as_fractions(tmp_path):
    mask = square().astype(np.float32) * np.float32(0.9999999)
    assert read_label(save(tmp_path / "a.tif", mask), RULE, SIZE).label.sum() == 20
    mask[0, 0] = 0.5
    with pytest.raises(InputError, match=r"a\.tif: mask values 0\.5; expected whole numbers"):
        read_label(save(tmp_path / "a.tif", mask), RULE, SIZE)
