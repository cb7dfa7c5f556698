"""EXIF orientations of images and masks: turned alike, or as their sizes tell, or refused."""

import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.loaded_images import SHOWN, STORED, load_image
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, square

SIZE = (12, 16)


def files(root, *, image=1, mask=1, size=SIZE, target=None):
    """An image and a mask with their orientations."""
    made = []
    for name, array, orientation in (
        ("image.png", noise(size), image),
        ("mask.png", square(size) if target is None else target, mask),
    ):
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
        made.append(save(root / name, array, exif=exif))
    return Case("a", *made)


def load(root, case, exif="auto"):
    return load_image(case, CaseSet(root, "folder", 2, (case,), label_rule=LabelRule(), official=False, exif=exif))


def shown(array, orientation):
    return {1: array, 3: np.rot90(array, 2), 6: np.rot90(array, -1), 2: array[:, ::-1]}[orientation]


@pytest.mark.parametrize("orientation", [1, 2, 3, 6])
def test_both_have_it(tmp_path, orientation):
    loaded = load(tmp_path, files(tmp_path, image=orientation, mask=orientation))
    np.testing.assert_array_equal(loaded.image, shown(noise(SIZE), orientation).transpose(2, 0, 1))
    np.testing.assert_array_equal(loaded.label.label[0], shown(square(SIZE), orientation))
    assert (loaded.turn, loaded.notes) == (orientation, ())


@pytest.mark.parametrize(("orientation", "size"), [(3, SIZE), (2, SIZE), (6, (12, 12))])
def test_only_the_image_has_it_and_sizes_do_not_tell(tmp_path, orientation, size):
    case = files(tmp_path, image=orientation, size=size)
    with pytest.raises(InputError, match=rf"image\.png: its EXIF orientation is {orientation}, that of its mask.* 1; "):
        load(tmp_path, case)
    stored = load(tmp_path, case, "stored")
    np.testing.assert_array_equal(stored.image, noise(size).transpose(2, 0, 1))
    np.testing.assert_array_equal(stored.label.label[0], square(size))
    turned = load(tmp_path, case, "shown")
    np.testing.assert_array_equal(turned.image, shown(noise(size), orientation).transpose(2, 0, 1))
    np.testing.assert_array_equal(turned.label.label[0], square(size))


def test_sizes_tell_where_a_mask_lies(tmp_path):
    on_stored = load(tmp_path, files(tmp_path, image=6))
    np.testing.assert_array_equal(on_stored.image, noise(SIZE).transpose(2, 0, 1))
    np.testing.assert_array_equal(on_stored.label.label[0], square(SIZE))
    assert on_stored.notes == (STORED,)
    drawn = np.rot90(square(SIZE), -1)
    on_shown = load(tmp_path, files(tmp_path, image=6, target=drawn))
    np.testing.assert_array_equal(on_shown.image, np.rot90(noise(SIZE), -1).transpose(2, 0, 1))
    np.testing.assert_array_equal(on_shown.label.label[0], drawn)
    assert on_shown.notes == (SHOWN,)


def test_only_the_mask_has_it(tmp_path):
    with pytest.raises(InputError, match=r"its EXIF orientation is 1, that of its mask mask\.png 3"):
        load(tmp_path, files(tmp_path, mask=3))


def test_an_image_alone_is_turned(tmp_path):
    case = files(tmp_path, image=3)
    alone = Case("a", case.image)
    np.testing.assert_array_equal(load(tmp_path, alone).image, shown(noise(SIZE), 3).transpose(2, 0, 1))
    np.testing.assert_array_equal(load(tmp_path, alone, "stored").image, noise(SIZE).transpose(2, 0, 1))


def test_what_was_decided_is_in_the_report(tmp_path):
    case = files(tmp_path, image=6)
    report = check(CaseSet(tmp_path, "folder", 2, (case,), official=False), progress=False)
    assert report.read_notes == {"a": STORED}
