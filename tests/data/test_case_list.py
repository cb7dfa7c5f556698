"""A list of chosen cases serves as a data set."""

import json

import numpy as np
import pytest

from segxfer3d.data.case_list import write_case_list
from segxfer3d.data.check import check
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


def test_all_channels_are_listed_by_their_names(tmp_path):
    for name in ("p1", "p2"):
        for channel in ("t1", "flair"):
            write_nifti(tmp_path / "files" / "images" / f"{name}_{channel}.nii.gz", ct())
        write_nifti(tmp_path / "files" / "labels" / f"{name}.nii.gz", (ct() > 0).astype("uint8"))
    write_case_list(tmp_path / "files", tmp_path / "list", channel_pattern="_(t1|flair)$")
    found = find_cases(tmp_path / "list")
    assert (found.channel_names, found.channels) == (("flair", "t1"), 2)
    assert [path.name for path in found.cases[0].files] == ["p1_flair.nii.gz", "p1_t1.nii.gz"]
    assert [case.name for case in check(found, progress=False).good] == ["p1", "p2"]
    one_file = write_nifti(tmp_path / "four" / "imagesTr" / "a.nii.gz", np.zeros((8, 8, 6, 3), np.int16))
    write_nifti(tmp_path / "four" / "labelsTr" / "a.nii.gz", np.zeros((8, 8, 6), np.uint8))
    entry = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz", "fold": 2}
    names, labels = {"0": "T1", "1": "CT", "2": "PET"}, {"1": "tumor", "2": "ignore"}
    content = {"modality": names, "labels": labels, "training": [entry]}
    (tmp_path / "four" / "dataset.json").write_text(json.dumps(content))
    write_case_list(tmp_path / "four", tmp_path / "again", min_slices=6)
    again = find_cases(tmp_path / "again")
    assert (again.cases[0].image, again.cases[0].fold, again.channel_names) == (one_file, 2, ("T1", "CT", "PET"))
    assert again.label_rule.ignore == (2,)
    assert check(again, progress=False).good == again.cases
    with pytest.raises(InputError, match="some channels of files that hold more"):
        write_case_list(tmp_path / "four", tmp_path / "no", channel_names="PET")
    with pytest.raises(InputError, match="CTs beside volumes of 3 channels"):
        write_case_list(tmp_path / "four", tmp_path / "no", extra_dir=tmp_path / "files")


def test_files_of_one_name_in_folders_stay_cases_of_their_own(tmp_path):
    for patient in ("a", "b"):
        write_nifti(tmp_path / "data" / "images" / patient / "scan.nii.gz", ct())
        write_nifti(tmp_path / "data" / "labels" / patient / "scan.nii.gz", (ct() > 0).astype("uint8"))
    write_case_list(tmp_path / "data", tmp_path / "list")
    assert [(case.name, case.patient) for case in find_cases(tmp_path / "list").cases] == [
        ("a_scan", "a"), ("b_scan", "b"),
    ]  # fmt: skip


def test_numbered_channels_are_listed_too(tmp_path):
    for channel in range(2):
        write_nifti(tmp_path / "data" / "images" / f"p1_000{channel}.nii.gz", ct())
    write_nifti(tmp_path / "data" / "labels" / "p1.nii.gz", (ct() > 0).astype("uint8"))
    write_case_list(tmp_path / "data", tmp_path / "list")
    found = find_cases(tmp_path / "list")
    assert (found.channels, found.modality, found.cases[0].name) == (2, "CT", "p1")
    assert check(found, progress=False).good == found.cases


def test_labels_that_a_list_cannot_name_are_refused(tmp_path):
    write_nifti(tmp_path / "s0" / "ct.nii.gz", ct())
    write_nifti(tmp_path / "s0" / "segmentations" / "liver.nii.gz", (ct() > 0).astype("uint8"))
    with pytest.raises(InputError, match=r"1 labels have a file for each class, or values of their own \(s0\)"):
        write_case_list(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
