"""What "labels" of a dataset.json says, as the Decathlon and nnU-Net write it, and as people do."""

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.layouts.dataset_json import read_declared
from segxfer3d.data.layouts.declared import classes_of, classes_of_volumes
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import LEFT, RIGHT, write_segments
from tests.data.volumes import ct, write_itk, write_nifti


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "liver", "2": "tumor"},
        {"background": 0, "tumor": 2, "liver": 1},
        {"background": "0", "liver": "1", "tumor": "2"},
    ],
)
def test_both_forms_and_numbers_as_text(labels):
    assert classes_of(labels) == {1: "liver", 2: "tumor"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["background", "liver"], "labels are .*, which is no object of names and values"),
        ({"liver": 0, "background": 1}, "the background is 1; expected 0"),
        ({"0": "liver", "1": "Background"}, "the background is 1; expected 0"),
    ],
)
def test_what_cannot_be(labels, message):
    for read in (classes_of, classes_of_volumes):
        with pytest.raises(ValueError, match=message):
            read(labels)


def test_ignore_is_known_in_any_spelling():
    declared = classes_of_volumes({"background": 0, "liver": 1, "Ignore": 2})
    assert (declared.classes, declared.rule.ignore, declared.masks) == ({1: "liver"}, (2,), {1: "liver", 2: "ignore"})
    regions = classes_of_volumes({"background": [0], "whole": ["1", 2], "core": "2", "IGNORE": 3}, [1, 2])
    assert (regions.regions, regions.rule.ignore) == (((1, (1, 2)), (2, (2,))), (3,))


@pytest.mark.parametrize("declared", [False, True])
def test_a_mask_that_is_called_ignore_is_no_class(tmp_path, declared):
    for name in ("p1", "p2"):
        write_nifti(tmp_path / name / "image.nii.gz", ct())
        write_nifti(tmp_path / name / "masks" / "tumor.nii.gz", LEFT)
    write_nifti(tmp_path / "p1" / "masks" / "ignore.nii.gz", RIGHT)  # the other case has none
    if declared:
        (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "tumor": 2, "ignore": 1}}')
    found = find_cases(tmp_path)
    assert (found.classes, found.label_rule.ignore) == ({2: "tumor"}, (1,))
    assert check(found, progress=False).good == found.cases
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, LEFT * 2 + RIGHT)


def test_a_segment_that_is_called_ignore_is_no_class(tmp_path):
    write_itk(tmp_path / "a.nrrd", ct())
    write_segments(tmp_path / "a.seg.nrrd", [LEFT + RIGHT * 2], [("tumor", 0, 1), ("ignore", 0, 2)])
    found = find_cases(tmp_path)
    assert (found.classes, found.label_rule.ignore) == ({1: "tumor"}, (2,))
    write_segments(tmp_path / "a.seg.nrrd", [LEFT], [("ignore", 0, 1)])
    with pytest.raises(InputError, match="no class but ignore"):
        find_cases(tmp_path)


@pytest.mark.parametrize("key", ["validation", "fold", "folds"])
def test_parts_without_a_list_of_cases_are_refused(tmp_path, key):
    write_nifti(tmp_path / "p1" / "image.nii.gz", ct())
    write_nifti(tmp_path / "p1" / "label.nii.gz", LEFT)
    (tmp_path / "dataset.json").write_text(f'{{"labels": {{"tumor": 1}}, "{key}": ["p1"]}}')
    with pytest.raises(InputError, match=rf"dataset\.json: has '{key}' and lists no cases; .*--split_file"):
        find_cases(tmp_path)
    assert read_declared(tmp_path).classes == {1: "tumor"}  # also where it lies beside what is to be segmented
