import json
from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, square


@pytest.fixture
def make(tmp_path):
    """Write a case; None leaves its mask out."""

    def write(name, mask=None, image=None, category=None):
        path = save(tmp_path / f"{name}.png", noise() if image is None else image)
        label = None if mask is None else save(tmp_path / f"{name}-mask.png", mask)
        return Case(name, path, label, category=category)

    return write


def image_set(tmp_path, *cases, **options):
    return CaseSet(tmp_path, "folder", 2, cases, official=False, **options)


def test_good_images(make, tmp_path):
    cases = (make("a", square()), make("b", square() * 0), make("c", square(), noise(seed=1)))
    images = image_set(tmp_path, *cases)
    assert images.labeled == images.cases
    assert not images.has_categories
    report = check(images)
    assert report.good == cases
    assert (report.bad, report.converted, report.empty_labels) == ({}, {}, ["b"])
    assert report.shapes == dict.fromkeys("abc", (12, 16))
    assert json.loads(json.dumps(report.as_dict()))["shapes"]["a"] == [12, 16]


def test_all_bad_images_are_listed_at_once_or_left_out(make, tmp_path):
    gray, size, value = (
        make("gray", square(), noise(channels=1)),
        make("size", square((9, 16))),
        make("value", square(value=4)),
    )
    broken = make("broken", square())
    broken.image.write_bytes(broken.image.read_bytes()[:200])
    good = make("good", square())
    images = image_set(tmp_path, gray, size, value, broken, good)
    with pytest.raises(InputError, match=r"^4 of 5 images cannot be used:\n"):
        check(images, progress=False)
    with pytest.raises(InputError) as error:
        check(images, skip_option="--skip_bad_cases True", progress=False)
    first, *listed = str(error.value).splitlines()
    assert first == "4 of 5 images cannot be used; --skip_bad_cases True goes on without them:"
    for line, message in zip(
        listed,
        [
            "gray.png: a gray image (L)",
            "the mask is 16x9",
            "mask values 4; expected 0, 1",
            "broken.png: cannot be read",
        ],
        strict=True,
    ):
        assert message in line
    report = check(images, skip_bad=True, progress=False)
    assert report.good == (good,)
    assert list(report.bad) == ["gray", "size", "value", "broken"]
    with pytest.raises(InputError, match="4 of 4 images cannot be used:"):
        check(image_set(tmp_path, gray, size, value, broken), skip_bad=True, progress=False)
    with pytest.raises(InputError, match="4 of 4 images cannot be used:"):  # there is nothing to go on with
        check(image_set(tmp_path, gray, size, value, broken), skip_option="--skip_bad_cases True", progress=False)


def test_official_data_sets_convert_and_say_so(make, tmp_path):
    images = replace(image_set(tmp_path, make("a", image=noise(channels=1)), make("b")), official=True)
    assert check(images, progress=False).converted == {"a": "L"}


def test_a_class_without_an_image(make, tmp_path):
    cases = (make("a", category=0), make("b", category=2, image=noise(channels=1)))
    images = image_set(tmp_path, *cases, categories=("cat", "dog", "horse"))
    assert images.has_categories
    with pytest.raises(InputError, match=r"no image of 2 of its classes: dog, horse"):
        check(images, skip_bad=True, progress=False)
    two = replace(images, categories=("cat", "dog"), cases=(cases[0], replace(cases[0], name="c", category=1)))
    assert len(check(two, progress=False).good) == 2


def test_boxes_cut_image_and_mask(make, tmp_path):
    case = replace(make("a", square()), box=(2, 3, 4, 5))
    images = image_set(tmp_path, case, label_rule=LabelRule(background=None, ignore=(0,)))
    loaded = load_image(case, images)
    np.testing.assert_array_equal(loaded.image, noise().transpose(2, 0, 1)[:, 2:6, 3:8])
    np.testing.assert_array_equal(loaded.label.label[0], square()[2:6, 3:8])
    np.testing.assert_array_equal(loaded.label.valid[0], square()[2:6, 3:8])
    with pytest.raises(InputError, match=r"16x12 pixels are too few for the patch of 5x4 at 12, 2"):
        load_image(replace(case, box=(2, 12, 4, 5)), images)


def test_a_mask_of_nothing_that_counts_is_named(make, tmp_path):
    good, empty = make("a", square()), make("b", square() * 0 + 255)
    images = image_set(tmp_path, good, empty, label_rule=LabelRule(ignore=(255,)))
    with pytest.raises(InputError, match=r"1 of 2 images cannot be used.*\n.*b.*: nothing in it but the value 255"):
        check(images, progress=False)


def test_an_image_of_one_color_is_named(make, tmp_path):
    flat, nearly = np.full((16, 12, 3), (9, 80, 3), np.uint8), np.full((16, 12, 3), 7, np.uint8)
    nearly[15, 11, 2] = 8
    report = check(image_set(tmp_path, make("a", image=flat), make("b", image=nearly), make("c")), progress=False)
    assert report.read_notes == {"a": "every pixel is the same"}
