"""Decoded values tell cases apart: not their names, folders or lossless formats."""

import doctest

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from segxfer3d.data import content_hash as module
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.content_hash import content_hash
from segxfer3d.data.io.exif_turns import as_shown, as_stored
from tests.data.image_files import noise, save


def test_doctest():
    assert doctest.testmod(module).failed == 0


def test_values_shape_and_type_count():
    values = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    others = [values + 1, values.reshape(1, 3, 2), values.astype(np.int16), values[:, ::-1]]
    assert len({content_hash(array) for array in (values, *others)}) == 5
    assert content_hash(np.asfortranarray(values)) == content_hash(values)


def test_a_check_tells_what_images_show(tmp_path):
    files = [("a", "one/a.png", 0), ("renamed", "two/b.bmp", 0), ("another", "two/c.png", 1)]
    cases = tuple(Case(name, save(tmp_path / file, noise(seed=seed))) for name, file, seed in files)
    contents = check(CaseSet(tmp_path, "folder", 2, cases), progress=False).contents
    assert contents["a"] == contents["renamed"] != contents["another"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_turns_are_those_of_pillow(turn):
    image = Image.fromarray(noise((4, 6)))
    image.getexif()[ExifTags.Base.Orientation] = turn
    stored = np.asarray(image).transpose(2, 0, 1)
    shown = as_shown(stored, turn)
    np.testing.assert_array_equal(shown, np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1))
    np.testing.assert_array_equal(as_stored(shown, turn), stored)


@pytest.mark.parametrize("turn", range(1, 9))
def test_images_are_known_as_stored_and_as_shown(turn, tmp_path):
    """Whichever of the two is read; hashes are as many as there were where nothing is turned."""
    image = Image.fromarray(noise((4, 6)))
    image.getexif()[ExifTags.Base.Orientation] = turn
    image.save(tmp_path / "a.png", exif=image.getexif())
    stored, shown = (content_hash(np.asarray(i).transpose(2, 0, 1)) for i in (image, ImageOps.exif_transpose(image)))
    case = Case("a", tmp_path / "a.png")
    for exif, read, other in (("auto", shown, stored), ("stored", stored, shown)):
        report = check(CaseSet(tmp_path, "folder", 2, (case,), official=False, exif=exif), progress=False)
        assert report.contents == {"a": read}
        assert report.also == ({} if turn == 1 else {"a": (other,)})
        assert report.recast == {}


def test_a_gray_image_is_known_as_gray_and_as_color(tmp_path):
    """Whichever of the two is read; what a checkpoint notes is as long as it was."""
    gray = noise((4, 6), channels=1)
    case = Case("a", save(tmp_path / "a.png", gray))
    as_gray, as_color = content_hash(gray[None]), content_hash(np.stack([gray] * 3))
    for channels, read, other in ((1, as_gray, as_color), (3, as_color, as_gray)):
        case_set = CaseSet(tmp_path, "folder", 2, (case,), channels=channels, official=False, convert=True)
        report = check(case_set, progress=False)
        assert report.noted(case) == (read,)
        assert report.recast == {"a": (other,)}


@pytest.mark.parametrize("turn", [1, 6])
def test_a_patch_is_known_by_its_whole_image_too(turn, tmp_path):
    image = Image.fromarray(noise((8, 10)))
    image.getexif()[ExifTags.Base.Orientation] = turn
    image.save(tmp_path / "a.png", exif=image.getexif())
    whole, patch = (Case("a", tmp_path / "a.png", box=box) for box in (None, (1, 2, 4, 4)))
    known = [
        check(CaseSet(tmp_path, "folder", 2, (case,), official=False), progress=False).noted(case)
        for case in (whole, patch)
    ]
    assert [len(hashes) for hashes in known] == ([1, 2] if turn == 1 else [2, 4])
    assert set(known[0]) < set(known[1])
    assert known[1][0] not in known[0]
