"""Trees as the data set of TotalSegmentator has them: s0001/ct.nii.gz, s0001/segmentations/liver.nii.gz."""

import json

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.inspection import inspect
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import LEFT, RIGHT
from tests.data.volumes import ct, write_nifti


@pytest.fixture
def root(tmp_path):
    for name in ("s0000", "s0001"):
        folder = tmp_path / "Totalsegmentator_dataset_v201" / name
        write_nifti(folder / "ct.nii.gz", ct())
        for structure, mask in (("spleen", LEFT), ("liver", RIGHT), ("aorta", LEFT * 0)):
            write_nifti(folder / "segmentations" / f"{structure}.nii.gz", mask)
    (tmp_path / "Totalsegmentator_dataset_v201" / "meta.csv").write_text("image_id;age\n")
    return tmp_path


def test_masks_are_classes_in_the_order_of_their_names(root):
    for place in (root, root / "Totalsegmentator_dataset_v201"):
        found = find_cases(place)
        assert (found.layout, found.modality) == ("totalsegmentator", "CT")
        assert found.classes == {1: "aorta", 2: "liver", 3: "spleen"}
        assert [case.name for case in found.labeled] == ["s0000", "s0001"]
    assert check(found, progress=False).good == found.cases
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, LEFT * 3 + RIGHT * 2)
    assert "layout totalsegmentator (TotalSegmentator), modality CT" in inspect(root, progress=False).lines[0]


def test_a_dataset_json_chooses_some(root):
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "Spleen": 1}}))
    (root / "Totalsegmentator_dataset_v201/s0001/segmentations/liver.nii.gz").unlink()
    found = find_cases(root)
    assert found.classes == {1: "Spleen"}
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, LEFT)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "heart": 1}}))
    with pytest.raises(InputError, match="no mask of heart; there are aorta, liver, spleen"):
        find_cases(root)


def test_a_mask_that_one_case_lacks(root):
    (root / "Totalsegmentator_dataset_v201/s0001/segmentations/liver.nii.gz").unlink()
    with pytest.raises(InputError, match=r"s0001/segmentations \(no mask of liver, which other cases have\)"):
        find_cases(root)


def test_ct_and_mr_are_two_data_sets(root):
    write_nifti(root / "Totalsegmentator_dataset_v201/s0002/mri.nii.gz", ct())
    (root / "Totalsegmentator_dataset_v201/s0002/segmentations").mkdir()
    with pytest.raises(InputError, match="cases of CT and of MR"):
        find_cases(root)


def test_patterns_come_before_names(root):
    found = find_cases(root, Request(image_pattern="/ct$", label_pattern="/segmentations/liver$"))
    assert (found.layout, len(found.labeled)) == ("folder", 2)


def test_an_image_or_masks_alone(root):
    folder = root / "Totalsegmentator_dataset_v201"
    write_nifti(folder / "s0002" / "ct.nii.gz", ct())
    assert [case.name for case in find_cases(root).unlabeled] == ["s0002"]
    (folder / "s0001" / "ct.nii.gz").unlink()
    with pytest.raises(InputError, match=r"s0001/segmentations \(labels without image\)"):
        find_cases(root)
