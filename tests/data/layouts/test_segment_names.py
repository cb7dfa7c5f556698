import json

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import ALL, LEFT, RIGHT, write_segments
from tests.data.volumes import ct, write_itk, write_nifti


@pytest.fixture
def scans(tmp_path):
    def make(**labels):
        for name, (layers, segments) in labels.items():
            write_itk(tmp_path / "images" / f"{name}.nrrd", ct())
            write_segments(tmp_path / "labels" / f"{name}.seg.nrrd", layers, segments)
        return tmp_path

    return make


def values(found):
    return {case.name: load_volume(case).label.array for case in found.cases}


def test_segments_are_classes_by_their_values_where_all_files_agree(scans):
    found = find_cases(scans(a=([LEFT * 3], [("tumor", 0, 3)]), b=([RIGHT * 2], [("liver", 0, 2)])))
    assert found.classes == {2: "liver", 3: "tumor"}
    assert check(found, progress=False).good == found.cases
    assert {name: set(np.unique(label)) for name, label in values(found).items()} == {"a": {0, 3}, "b": {0, 2}}


def test_segments_are_classes_by_name_where_values_differ(scans):
    root = scans(
        a=([LEFT + RIGHT * 2], [("tumor", 0, 1), ("liver", 0, 2)]),
        b=([LEFT, RIGHT], [("liver", 0, 1), ("tumor", 1, 1)]),
    )
    found = find_cases(root)
    assert found.classes == {1: "tumor", 2: "liver"}
    assert check(found, progress=False).good == found.cases
    labels = values(found)
    np.testing.assert_array_equal(labels["a"], LEFT + RIGHT * 2)
    np.testing.assert_array_equal(labels["b"], LEFT * 2 + RIGHT)
    merged = find_cases(root, Request(label_map="2:1"))
    assert merged.classes == {1: "tumor"}
    np.testing.assert_array_equal(values(merged)["b"], LEFT + RIGHT)


def test_a_dataset_json_says_which_value_a_name_has(scans):
    root = scans(a=([LEFT + RIGHT * 2], [("tumor", 0, 1), ("Liver", 0, 2)]))
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1, "tumor": 2}}))
    np.testing.assert_array_equal(values(find_cases(root))["a"], LEFT * 2 + RIGHT)


def test_overlapping_segments_are_a_bad_case(scans):
    root = scans(a=([LEFT, ALL], [("core", 0, 1), ("whole", 1, 1)]), b=([LEFT], [("core", 0, 1)]))
    with pytest.raises(InputError, match=r"1 of 2 cases .*\n.*a\.seg\.nrrd: the segments core and whole overlap"):
        check(find_cases(root), progress=False)


def test_a_damaged_file_is_a_bad_case_beside_the_others(scans):
    root = scans(a=([LEFT * 3], [("tumor", 0, 3)]), b=([LEFT * 3], [("tumor", 0, 3)]))
    (root / "labels" / "b.seg.nrrd").write_bytes(b"NRRD0004\n")
    found = find_cases(root)
    assert found.classes == {3: "tumor"}
    with pytest.raises(InputError, match=r"1 of 2 cases .*\n.*b\.seg\.nrrd: cannot be read"):
        check(found, progress=False)


def test_other_labels_among_them_go_by_value(scans):
    root = scans(a=([LEFT], [("tumor", 0, 1)]))
    write_nifti(root / "images" / "b.nii.gz", ct())
    write_nifti(root / "labels" / "b.nii.gz", RIGHT)
    assert find_cases(root).classes == {1: "foreground"}


def test_segments_that_are_no_class(scans):
    root = scans(
        a=([LEFT + RIGHT * 2], [("tumor", 0, 1), ("liver", 0, 2)]),
        b=([LEFT], [("Segment_1", 0, 1)]),
        c=([LEFT * 7], [("Segment_7", 0, 7)]),
    )
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1, "tumor": 2}}))
    with pytest.raises(
        InputError, match=r"segments that are no class: Segment_1 in .*b\.seg\.nrrd; expected liver, tumor"
    ):
        find_cases(root)  # or it would be read as liver
    root = scans(b=([LEFT], [("Tumor", 0, 1)]))
    found = find_cases(root)
    assert set(np.unique(values(found)["b"])) == {0, 2}
    with pytest.raises(InputError, match=r"1 of 3 cases .*\n.*c\.seg\.nrrd: label values 7; expected 0, 1, 2"):
        check(found, progress=False)


def test_segments_that_may_be_one_class_in_two_spellings_are_noted(scans):
    first = ([LEFT], [("tumor", 0, 1)])
    found = find_cases(scans(a=first, b=([LEFT], [("Tumour", 0, 1)])))
    assert found.classes == {1: "tumor", 2: "Tumour"}
    (note,) = found.notes
    assert note.startswith("the segments tumor and Tumour are two classes, and no file has both; if they are one")
    merged = find_cases(found.root, Request(label_map="2:1"))
    assert merged.classes == {1: "tumor"}
    np.testing.assert_array_equal(values(merged)["b"], LEFT)


@pytest.mark.parametrize(
    ("one", "other"), [("kidney left", "kidney right"), ("rib 1", "rib 2"), ("tumor", "liver"), ("core", "whole")]
)
def test_other_names_are_not(one, other, scans):
    assert find_cases(scans(a=([LEFT], [(one, 0, 1)]), b=([LEFT], [(other, 0, 1)]))).notes == ()


def test_names_that_one_file_has_are_two_classes(scans):
    root = scans(a=([LEFT + RIGHT * 2], [("lung upper", 0, 1), ("lung upperr", 0, 2)]))
    assert find_cases(root).notes == ()


def test_names_that_differ_in_large_letters_alone_are_refused(scans):
    root = scans(a=([LEFT], [("tumor", 0, 1)]), b=([LEFT], [("Tumor", 0, 1)]))
    with pytest.raises(
        InputError, match=r"1 and 2 have one name, tumor; expected another for each, or --label_map 2:1"
    ):
        find_cases(root)
    merged = find_cases(root, Request(label_map="2:1"))
    assert merged.classes == {1: "tumor"}
    assert {name: set(np.unique(label)) for name, label in values(merged).items()} == {"a": {0, 1}, "b": {0, 1}}
