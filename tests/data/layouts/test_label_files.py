"""Labels that lie among the images of patients: which is whose, and what is refused."""

import json

import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.split import by_patient
from segxfer3d.errors import InputError
from segxfer3d.inference.inputs import find_inputs
from tests.data.dicom_files import MR, stored, write_slices
from tests.data.volumes import ct, write_nifti

from .test_luna16 import make


def found(root, **request):
    cases = find_cases(root, Request(**request)).cases
    return {case.name: (case.patient, case.label and case.label.relative_to(root).as_posix()) for case in cases}


@pytest.mark.parametrize(
    ("files", "patterns", "expected"),
    [
        (
            ["p1/a/ct.nii.gz", "p1/a/seg.nii.gz", "p1/b/ct.nii.gz", "p1/b/seg.nrrd", "p2/a/ct.mha"],
            {"image_pattern": "/ct$", "label_pattern": "/seg$"},
            {"p1_a": ("p1", "p1/a/seg.nii.gz"), "p1_b": ("p1", "p1/b/seg.nrrd"), "p2_a": ("p2", None)},
        ),
        (
            ["p1/ct.nii.gz", "p1/seg.nii.gz", "p2/ct.nii.gz", "p2/seg.nii.gz"],
            {"label_pattern": "/seg$"},
            {"p1_ct": ("p1", "p1/seg.nii.gz"), "p2_ct": ("p2", "p2/seg.nii.gz")},
        ),
        (
            ["s1/ct.nii.gz", "s1/segmentations/liver.nii.gz", "s1/segmentations/lung.nii.gz"],
            {"image_pattern": "/ct$", "label_pattern": "/segmentations/liver$"},
            {"s1": ("s1", "s1/segmentations/liver.nii.gz")},
        ),
        (
            ["a.nii", "a_seg.nii", "b.nii", "b_seg.nii"],
            {"label_pattern": "_seg$"},
            {"a": ("a", "a_seg.nii"), "b": ("b", "b_seg.nii")},
        ),
        (
            ["BraTS_1/BraTS_1_t1.nii", "BraTS_1/BraTS_1_flair.nii", "BraTS_1/BraTS_1_seg.nii"],
            {"image_pattern": "_flair$", "label_pattern": "_seg$"},
            {"BraTS_1_BraTS_1": ("BraTS_1", "BraTS_1/BraTS_1_seg.nii")},
        ),
        (
            ["scans/x/1.nii", "masks/x/1.nii", "scans/y/1.nii"],
            {"image_pattern": "^scans/", "label_pattern": "^masks/", "patient_pattern": "[xy]"},
            {"x_1": ("x", "masks/x/1.nii"), "y_1": ("y", None)},
        ),
        (
            ["sub-1/anat/t1.nii", "derivatives/sub-1/anat/t1.nii"],
            {"label_pattern": "^derivatives/"},
            {"sub-1_anat_t1": ("sub-1", "derivatives/sub-1/anat/t1.nii")},
        ),
    ],
)
def test_labels_find_their_images(tmp_path, files, patterns, expected):
    assert found(make(tmp_path, files), **patterns) == expected


@pytest.mark.parametrize(
    ("files", "patterns", "message"),
    [
        (["p1/ct.nii", "p1/seg.nii", "p2/seg.nii"], {"label_pattern": "/seg$"}, r"p2/seg\.nii \(label without image\)"),
        (
            ["p1/ct.nii", "p1/seg1.nii", "p1/seg2.nii"], {"label_pattern": r"/seg\d$"},
            r"seg1\.nii and .*seg2\.nii \(two labels of one image\)",
        ),
        (["p1/ct.nii", "p1/seg.nii", "p1/seg.mha"], {"label_pattern": "/seg$"}, r"two labels are called p1/seg: "),
        (["p1/ct.nii", "p2/ct.nii"], {"label_pattern": "/seg$"}, r"by --label_pattern .seg., .* such as p1/ct"),
        (
            ["p1/a.nii", "p1/b.nii", "p1/seg.nii"], {"label_pattern": "/seg$"},
            r"2 volumes in the folder p1, .*--image_pattern",
        ),
        (["p1/ct.nii", "p1/mask.nii", "p1/seg.nii"], {"label_pattern": "/seg$"}, r"1 of 2 volumes look like masks"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_refused(tmp_path, files, patterns, message):
    with pytest.raises(InputError, match=message):
        find_cases(make(tmp_path, files), Request(**patterns))


def test_a_dicom_series_and_its_label_in_one_folder(tmp_path):
    for number in (1, 2):
        write_slices(tmp_path / f"s{number}", stored(), series=f"1.{number}", patient="P1")
        write_nifti(tmp_path / f"s{number}" / "nodule.nii.gz", ct())
    with pytest.raises(InputError, match=r"a DICOM series and nodule\.nii\.gz in one folder; .*--label_pattern"):
        find_cases(tmp_path)
    assert found(tmp_path, label_pattern="/nodule$") == {
        "s1": ("P1", "s1/nodule.nii.gz"), "s2": ("P1", "s2/nodule.nii.gz"),
    }  # fmt: skip
    assert [case.name for case in find_inputs(tmp_path, dims=3, label_pattern="/nodule$")] == ["s1", "s2"]


def test_a_split_never_parts_a_patient(tmp_path):
    files = [f"p{i}/{scan}/{what}.nii" for i in range(8) for scan in "ab" for what in ("ct", "seg")]
    patterns = {"image_pattern": "/ct$", "label_pattern": "/seg$"}
    split = by_patient(find_cases(make(tmp_path, files), Request(**patterns)).cases)
    parts = [{case.patient for case in part} for part in (split.train, split.validation, split.test)]
    assert sorted(patient for part in parts for patient in part) == [f"p{i}" for i in range(8)]
    assert all(len(getattr(split, part)) % 2 == 0 for part in ("train", "validation", "test"))


def test_a_dataset_json_may_declare_what_labels_mean(tmp_path):
    array = ct()
    array[:] = 0
    array[2:4, 2:4, 2:4] = 2
    for name in "ab":
        write_nifti(tmp_path / name / "t1.nii", abs(ct()))
        write_nifti(tmp_path / name / "seg.nii", array)
    about = {"labels": {"0": "background", "1": "head", "2": "tail"}, "modality": {"0": "MRI"}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    case_set = find_cases(tmp_path, Request(label_pattern="/seg$"))
    assert (case_set.layout, case_set.modality, case_set.assumed) == ("folder", "MR", False)
    assert case_set.classes == {1: "head", 2: "tail"}
    assert len(check(case_set, progress=False).good) == 2


def test_dicom_says_patient_and_modality_of_listed_cases(tmp_path):
    for number in (1, 2):
        write_slices(tmp_path / "img" / f"s{number}", stored(), series=f"1.{number}", sop_class=MR, modality="MR")
    listed = {"labels": {"0": "background", "1": "x"}, "training": [], "test": ["img/s1", "img/s2"]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    case_set = find_cases(tmp_path)
    assert (case_set.layout, case_set.modality) == ("decathlon", "MR")
    assert {case.name: case.patient for case in case_set.cases} == {"s1": "P1", "s2": "P1"}
    cases = find_cases(tmp_path, Request(patient_pattern=r"s\d")).cases
    assert [case.patient for case in cases] == ["s1", "s2"]
