"""Trees as KiTS has them: case_00000/imaging.nii.gz and segmentation.nii.gz."""

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from tests.data.volumes import ct, write_nifti


def scan(root, name, label="segmentation"):
    write_nifti(root / name / "imaging.nii.gz", ct())
    if label:
        write_nifti(root / name / f"{label}.nii.gz", (ct() > 0).astype(np.uint8))


def test_2019_has_two_classes_and_cases_without_label(tmp_path):
    scan(tmp_path / "data", "case_00000")
    scan(tmp_path / "data", "case_00210", label="")
    found = find_cases(tmp_path)
    assert (found.layout, found.modality, found.classes) == ("kits", "CT", {1: "kidney", 2: "tumor"})
    assert [(case.name, case.patient) for case in found.cases] == [("case_00000",) * 2, ("case_00210",) * 2]
    assert [case.name for case in found.labeled] == ["case_00000"]
    assert check(found, progress=False).good == found.cases


def test_since_2021_there_are_cysts(tmp_path):
    scan(tmp_path, "case_00000")
    (tmp_path / "case_00000" / "instances").mkdir()
    assert find_cases(tmp_path).classes == {1: "kidney", 2: "tumor", 3: "cyst"}


def test_the_majority_of_2021(tmp_path):
    scan(tmp_path, "case_00000", label="aggregated_MAJ_seg")
    write_nifti(tmp_path / "case_00000" / "segmentations" / "kidney_instance-1_annotation-1.nii.gz", ct())
    found = find_cases(tmp_path)
    assert [case.label.name for case in found.labeled] == ["aggregated_MAJ_seg.nii.gz"]
    assert found.classes == {1: "kidney", 2: "tumor", 3: "cyst"}


def test_segmentations_whose_image_is_not_there(tmp_path):
    for name in ("case_00000", "case_00001", "case_00002"):
        scan(tmp_path, name)
    for name in ("case_00001", "case_00002"):  # as before the images are downloaded
        (tmp_path / name / "imaging.nii.gz").unlink()
    with pytest.raises(InputError, match=r"case_00001/segmentation\.nii\.gz \(label without image\); .*case_00002"):
        find_cases(tmp_path)
