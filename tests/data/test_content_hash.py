"""Decoded values tell cases apart: not their names, folders or lossless formats."""

import doctest

import numpy as np

from segxfer3d.data import content_hash as module
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.content_hash import content_hash
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
