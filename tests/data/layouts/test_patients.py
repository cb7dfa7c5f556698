"""A folder for each scan, with image and label in it."""

import json

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import ALL, LEFT, RIGHT, write_segments
from tests.data.volumes import ct, write_dicom, write_itk, write_nifti


def test_image_and_label_of_any_format(tmp_path):
    write_nifti(tmp_path / "p1" / "image.nii.gz", ct())
    write_nifti(tmp_path / "p1" / "label.nii.gz", LEFT)
    write_itk(tmp_path / "p2" / "scan.mha", ct())
    write_itk(tmp_path / "p2" / "mask.nrrd", LEFT)
    write_dicom(tmp_path / "p3" / "image", ct())
    write_nifti(tmp_path / "p3" / "segmentation.nii", LEFT)
    write_nifti(tmp_path / "p4" / "image.nii.gz", ct())
    (tmp_path / "readme.txt").write_text("words")
    found = find_cases(tmp_path)
    assert (found.layout, found.modality, found.assumed) == ("patients", "CT", True)
    assert found.classes == {1: "foreground"}
    assert [(case.name, case.patient) for case in found.cases] == [(f"p{number}",) * 2 for number in (1, 2, 3, 4)]
    assert [case.label is not None for case in found.cases] == [True, True, True, False]
    assert check(found, progress=False).good == found.cases


def test_what_a_dataset_json_says(tmp_path):
    for name in ("p1", "p2"):
        write_nifti(tmp_path / name / "image.nii.gz", ct())
        write_nifti(tmp_path / name / "label.nii.gz", LEFT + RIGHT * 2)
    content = {"labels": {"background": 0, "left": 1, "ignore": 2}, "modality": {"0": "MR"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = find_cases(tmp_path)
    assert (found.layout, found.modality, found.classes) == ("patients", "MR", {1: "left"})
    assert found.label_rule.ignore == (2,)


@pytest.mark.parametrize("layout", ["", "patients"])
def test_channel_names_of_a_dataset_json_say_the_modality(layout, tmp_path):
    for name in ("p1", "p2"):
        scan(tmp_path / name)
    content = {"labels": {"background": 0, "left": 1}, "channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = find_cases(tmp_path, Request(layout=layout))
    assert (found.layout, found.modality, found.assumed, found.channels) == ("patients", "MR", False, 1)
    assert check(found, progress=False).good == found.cases


def test_channel_names_of_a_dataset_json_are_those_of_the_channels(tmp_path):
    for name in ("p1", "p2"):
        write_nifti(tmp_path / name / "image.nii.gz", np.stack([ct(), ct()], axis=-1))
        write_nifti(tmp_path / name / "label.nii.gz", LEFT)
    content = {"labels": {"background": 0, "left": 1}, "channel_names": {"0": "T1", "1": "FLAIR"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = find_cases(tmp_path)
    assert (found.layout, found.modality, found.channel_names) == ("patients", "MR", ("T1", "FLAIR"))
    assert check(found, progress=False).good == found.cases
    scan(tmp_path / "p2")
    with pytest.raises(InputError, match=r"(?s)1 of 2 cases.*p2/image\.nii\.gz"):
        check(found, progress=False)


def test_a_mask_for_each_class(tmp_path):
    for name in ("p1", "p2"):
        write_nifti(tmp_path / name / "image.nii.gz", ct())
        write_nifti(tmp_path / name / "masks" / "right.nii.gz", RIGHT)
        write_nifti(tmp_path / name / "masks" / "left.nii.gz", LEFT)
    found = find_cases(tmp_path)
    assert found.classes == {1: "left", 2: "right"}
    np.testing.assert_array_equal(load_volume(found.cases[0]).label.array, LEFT + RIGHT * 2)
    write_nifti(tmp_path / "p2" / "masks" / "left.nii.gz", ALL)
    with pytest.raises(InputError, match=r"1 of 2 cases .*\n.*the masks left\.nii\.gz and right\.nii\.gz overlap"):
        check(found, progress=False)
    (tmp_path / "p2" / "masks" / "left.nii.gz").unlink()
    with pytest.raises(InputError, match=r"p2/masks \(no mask of left\)"):
        find_cases(tmp_path)


def test_a_segmentation_of_slicer(tmp_path):
    write_nifti(tmp_path / "p1" / "image.nii.gz", ct())
    write_segments(tmp_path / "p1" / "label.seg.nrrd", [LEFT], [("tumor", 0, 1)])
    write_nifti(tmp_path / "p2" / "image.nii.gz", ct())
    write_nifti(tmp_path / "p2" / "label.nii.gz", LEFT)
    with pytest.raises(InputError, match="has the layouts of patients and of slicer; say which with --dataset"):
        find_cases(tmp_path)


def test_labels_without_image(tmp_path):
    write_nifti(tmp_path / "p1" / "image.nii.gz", ct())
    write_nifti(tmp_path / "p1" / "label.nii.gz", LEFT)
    write_nifti(tmp_path / "p2" / "label.nii.gz", LEFT)
    with pytest.raises(InputError, match=r"p2/label\.nii\.gz \(label without image\)$"):
        find_cases(tmp_path)


def test_folders_of_one_name_have_the_names_of_their_paths(tmp_path):
    for site in ("a", "b"):
        write_nifti(tmp_path / site / "p1" / "image.nii.gz", ct())
        write_nifti(tmp_path / site / "p1" / "label.nii.gz", LEFT)
    assert [case.name for case in find_cases(tmp_path).cases] == ["a_p1", "b_p1"]
    assert find_cases(tmp_path, Request(patient_pattern="p1")).cases[0].patient == "p1"


def scan(folder, image="image.nii.gz", label="label.nii.gz"):
    write_nifti(folder / image, ct())
    write_nifti(folder / label, LEFT)


def test_scans_in_folders_of_their_patients(tmp_path):
    for place in ("P1/a", "P1/b", "P2/c"):
        scan(tmp_path / place)
    found = find_cases(tmp_path)
    assert [(case.name, case.patient) for case in found.cases] == [("P1_a", "P1"), ("P1_b", "P1"), ("P2_c", "P2")]
    assert found.notes == ("patients are the folders P1, P2; --patient_pattern says otherwise",)
    chosen = find_cases(tmp_path, Request(patient_pattern="_(.)$"))
    assert [case.patient for case in chosen.cases] == ["a", "b", "c"]
    assert chosen.notes == ()


def test_scans_that_are_called_by_their_patient_are_not_called_so_twice(tmp_path):
    for place in ("P1/P1_R_2", "P1/P1", "P1/P10_a", "P10/P10_a"):
        scan(tmp_path / place)
    found = {case.name: case.patient for case in find_cases(tmp_path).cases}
    assert found == {"P1_R_2": "P1", "P1": "P1", "P1_P10_a": "P1", "P10_a": "P10"}


@pytest.mark.parametrize("above", [("Train", "test"), ("archive", "archive")])
def test_folders_above_that_are_no_patients(tmp_path, above):
    for folder, name in zip(above, ("p1", "p2"), strict=True):
        scan(tmp_path / folder / name)
    found = find_cases(tmp_path)
    assert [(case.name, case.patient) for case in found.cases] == [("p1", "p1"), ("p2", "p2")]
    assert found.notes == ()


def test_a_scan_beside_folders_of_patients(tmp_path):
    for place in ("p1", "p2/a", "p2/b"):
        scan(tmp_path / place)
    assert {case.name: case.patient for case in find_cases(tmp_path).cases} == {"p1": "p1", "p2_a": "p2", "p2_b": "p2"}


def test_large_and_small_letters(tmp_path):
    scan(tmp_path / "p1")
    scan(tmp_path / "p2", "IMAGE.NII.GZ", "Label.nii.gz")
    (tmp_path / "p2" / "._IMAGE.NII.GZ").write_bytes(b"of a Mac")
    found = find_cases(tmp_path)
    assert [(case.name, case.label.name) for case in found.cases] == [("p1", "label.nii.gz"), ("p2", "Label.nii.gz")]
    assert check(found, progress=False).good == found.cases


def test_several_labels_of_one_image(tmp_path):
    for name in ("p1", "p2"):
        scan(tmp_path / name)
    write_nifti(tmp_path / "p1" / "seg.nii.gz", RIGHT)  # of the brain, or of a lesion?
    write_nifti(tmp_path / "p2" / "image.nii", ct())
    with pytest.raises(InputError, match=r"p1/label\.nii\.gz and .*p1/seg\.nii\.gz \(2 labels of one image\)") as error:
        find_cases(tmp_path)
    assert "p2/image.nii (2 images of one label); --image_pattern and --label_pattern say" in str(error.value)
