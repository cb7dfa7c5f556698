"""A list of chosen cases serves as a data set."""

import json

import numpy as np
import pytest

from segxfer3d.data.case_list import write_case_list
from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from tests.data.volumes import ct, write_nifti


def test_large_cases_and_scans(tmp_path):
    for name, slices in (("p1_a", 4), ("p2_a", 9)):
        image = np.zeros((8, 8, slices), np.int16)
        write_nifti(tmp_path / "data" / "images" / f"{name}.nii.gz", image)
        write_nifti(tmp_path / "data" / "labels" / f"{name}.nii.gz", (image == 0).astype(np.uint8))
    write_nifti(tmp_path / "extra" / "ct.nii.gz", np.full((8, 8, 8), -900, np.int16))
    write_nifti(tmp_path / "extra" / "organs.nii.gz", np.ones((8, 8, 8), np.int16))
    written = write_case_list(tmp_path / "data", tmp_path / "cases", min_slices=8, extra_dir=tmp_path / "extra")
    assert written.text() == f"{tmp_path / 'cases' / 'dataset.json'}: 1 of 2 labeled cases, 1 scans more"
    content = json.loads(written.path.read_text(encoding="utf-8"))
    assert [entry["image"].rsplit("/", 1)[1] for entry in content["training"]] == ["p2_a.nii.gz"]
    cases = find_cases(tmp_path / "cases")
    assert len(cases.labeled) == 1
    assert [case.image.name for case in cases.unlabeled] == ["ct.nii.gz"]
    with pytest.raises(InputError, match="none of 2 labeled cases has 10 slices"):
        write_case_list(tmp_path / "data", tmp_path / "none", min_slices=10)
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="no CT in it; expected volumes in HU with voxels below -500"):
        write_case_list(tmp_path / "data", tmp_path / "none", extra_dir=tmp_path / "data" / "labels")


def test_labels_that_a_list_cannot_name_are_refused(tmp_path):
    write_nifti(tmp_path / "s0" / "ct.nii.gz", ct())
    write_nifti(tmp_path / "s0" / "segmentations" / "liver.nii.gz", (ct() > 0).astype("uint8"))
    with pytest.raises(InputError, match=r"1 labels have a file for each class, or values of their own \(s0\)"):
        write_case_list(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
