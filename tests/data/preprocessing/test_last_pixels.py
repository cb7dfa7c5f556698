"""Targets that vanish where a label is reduced keep a pixel."""

import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.io.images import resize_with_padding
from segxfer3d.data.preprocessing.held_images import HeldImages
from segxfer3d.data.preprocessing.last_pixels import keep_last_pixels
from tests.data.image_files import noise, save

SIZE = 16


def reduced(label):
    array, content = resize_with_padding(label, SIZE, labels=True)
    valid = np.ones((1, SIZE, SIZE), np.uint8)
    return array, valid, content


def test_the_pixel_that_the_target_covers_most():
    label = np.zeros((1, 200, 100), np.uint8)
    label[0, 101:105, 40:43] = 1
    masks, valid, content = reduced(label)
    assert not masks.any()
    valid[:] = 0
    # 12.5 pixels become one: row 8, column 3 of the picture, which begins at column 4
    assert keep_last_pixels(label, masks, valid, content) == 96  # 200 / 3, in steps of 32
    assert np.argwhere(masks[0]).tolist() == [[8, 7]]
    assert np.argwhere(valid[0]).tolist() == [[8, 7]]


def test_what_does_not_vanish_stays_as_it_was():
    label = np.zeros((2, 100, 100), np.uint8)
    label[0, 20:60, 20:60] = 1
    masks, valid, content = reduced(label)
    before = masks.copy()
    assert keep_last_pixels(label, masks, valid, content) == 0
    np.testing.assert_array_equal(masks, before)
    assert valid.all()


def test_no_class_loses_its_only_pixel_to_another():
    label = np.zeros((2, 160, 160), np.uint8)
    label[0, 80:82, 80:82] = 1
    label[1, 83:85, 80:82] = 1
    masks, valid, content = reduced(label)
    keep_last_pixels(label, masks, valid, content)
    assert masks.sum((1, 2)).tolist() == [1, 1]
    assert masks.sum(0).max() == 1


@pytest.mark.parametrize("side", [1, 2, 3])
def test_held_images_say_which_need_a_larger_size(tmp_path, side):
    cases = []
    for number in range(6):
        mask = np.zeros((100, 120), np.uint8)
        at = 7 * number + 5
        mask[at : at + side, at : at + side] = number > 0
        image = save(tmp_path / f"{number}.png", noise(mask.shape, seed=number))
        cases.append(Case(str(number), image, save(tmp_path / f"{number}_mask.png", mask)))
    case_set = CaseSet(tmp_path, "folder", 2, tuple(cases), label_rule=LabelRule(), official=False)
    held = HeldImages(case_set, SIZE, progress=False)
    assert held.with_target == 5
    assert [bool(item["label"].any()) for item in held] == [False] + 5 * [True]
    assert set(held.vanished.values()) <= {32 * -(-120 // side // 32)}
    for name, size in held.vanished.items():
        (case,) = [case for case in cases if case.name == name]
        assert not HeldImages(case_set, size, cases=[case], progress=False).vanished
