"""Which files of a folder are images: what is passed over, and what is refused with the option that settles it."""

import numpy as np
import pytest

from segxfer3d.data.check import check, refuse_wrong_modality
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from segxfer3d.inference.inputs import find_inputs
from tests.data.dicom_files import MR, blank, save, stored, write_slices
from tests.data.volumes import ct, write_nifti

from .test_luna16 import make


def names(root, **request):
    return [case.name for case in find_cases(root, Request(**request)).cases]


def test_a_tree_of_dicom(tmp_path):
    for number in range(3):
        write_slices(tmp_path / f"p{number}" / "CT", stored(), series=f"1.{number}", patient="A" if number < 2 else "B")
        save(blank(modality="SEG"), tmp_path / f"p{number}" / "SEG" / "seg.dcm")
    found = find_cases(tmp_path)
    assert {case.name: case.patient for case in found.cases} == {"p0_CT": "A", "p1_CT": "A", "p2_CT": "B"}
    assert (found.modality, found.assumed) == ("CT", False)
    assert found.notes == ("3 files are no volumes and are passed over (3 of modality SEG), for example seg.dcm",)


def test_modality_is_what_dicom_says(tmp_path):
    write_slices(tmp_path / "a", stored(), series="1.1", sop_class=MR, modality="MR")
    assert find_cases(tmp_path).modality == "MR"
    assert find_cases(tmp_path, Request(modality="CT")).modality == "CT"
    assert find_cases(tmp_path, Request(modality="other")).modality == "unknown"
    write_slices(tmp_path / "b", stored(), series="1.2")
    with pytest.raises(InputError, match=r"several modalities \(1 of MR, 1 of CT\); --series or --image_pattern says"):
        find_cases(tmp_path)
    assert names(tmp_path, image_pattern="^b$") == ["b"]


def test_volumes_that_are_no_ct_are_not_taken_for_one(tmp_path):
    for name in "ab":
        write_nifti(tmp_path / f"{name}.nii", np.abs(ct()))
    case_set = find_cases(tmp_path)
    assert case_set.assumed
    with pytest.raises(InputError, match=r"2 of 2 volumes have no value below 0, .*\(a, b\); --modality MR"):
        refuse_wrong_modality(case_set, check(case_set, progress=False))
    said = find_cases(tmp_path, Request(modality="CT"))
    refuse_wrong_modality(said, check(said, progress=False))
    write_nifti(tmp_path / "b.nii", ct() - 2000)
    case_set = find_cases(tmp_path)
    refuse_wrong_modality(case_set, check(case_set, progress=False))


@pytest.mark.parametrize(
    ("choice", "shape"), [("1.2.1", (9, 8, 7)), ("2", (9, 8, 5)), ("Thin Lung", (9, 8, 7)), ("soft", (9, 8, 5))]
)
def test_series_are_chosen(tmp_path, choice, shape):
    def described(number, words):
        def edit(dataset, k):
            dataset.SeriesNumber, dataset.SeriesDescription = number, words

        return edit

    write_slices(tmp_path / "p", stored(), series="1.2.1", name="a{}", edit=described(1, "thin lung"))
    write_slices(tmp_path / "p", stored((9, 8, 5)), series="1.2.2", name="b{}", edit=described(2, "Soft tissue"))
    with pytest.raises(
        InputError,
        match=r"p: 2 DICOM series in one folder: 1\.2\.1 \(number 1, 'thin lung', CT, 7 slices\), .*--series",
    ):
        find_cases(tmp_path)
    (case,) = find_cases(tmp_path, Request(series=choice)).cases
    assert case.name == "p"
    assert read_volume(case.image).array.shape == shape
    (case,) = find_inputs(tmp_path / "p", dims=3, series=choice)
    assert read_volume(case.image).array.shape == shape


def test_a_series_that_is_not_there(tmp_path):
    write_slices(tmp_path / "p", stored())
    with pytest.raises(InputError, match=r"no DICOM series is --series 'lung'; there are 1\.2\.3\.4 \(number 1"):
        find_cases(tmp_path, Request(series="lung"))


def test_a_series_in_two_folders(tmp_path):
    write_slices(tmp_path / "a", stored((9, 8, 4)))
    write_slices(tmp_path / "b", stored((9, 8, 3)))
    with pytest.raises(InputError, match=r"one DICOM series in several folders: .*a, .*b; put its files into one"):
        find_cases(tmp_path)


@pytest.mark.parametrize(
    ("files", "message", "pattern", "kept"),
    [
        (
            ["s1/ct.nii.gz", "s1/rois/liver.nii.gz", "s2/ct.nii.gz", "s2/rois/liver.nii.gz"],
            r"2 of 4 volumes look like masks or derivatives, by their names \(s1/rois/liver, ",
            "/ct$",
            ["s1_ct", "s2_ct"],
        ),
        (["a.nii", "a_seg.nii"], r"1 of 2 volumes look like masks .* \(a_seg\)", "a$", ["a"]),
        (
            ["sub-1/anat/t1.nii.gz", "derivatives/sub-1/anat/t1.nii.gz"],
            r"1 of 2 volumes look like masks or derivatives",
            "^sub-",
            ["sub-1_anat_t1"],
        ),
        (
            ["x.nii.gz", "x_Eq_1.nii.gz"],
            r"other versions of volumes beside them, as dcm2niix writes \(x_Eq_1\)",
            "Eq_1$",
            ["x_Eq_1"],
        ),
        (["x.nii", "x_Tilt_1.nii", "y.nii"], r"\(x_Tilt_1\)", "^[xy]$", ["x", "y"]),
    ],
)
def test_masks_twins_and_derivatives(tmp_path, files, message, pattern, kept):
    root = make(tmp_path, files)
    for look in (find_cases, lambda folder: find_inputs(folder, dims=3)):
        with pytest.raises(InputError, match=message + r".*--image_pattern"):
            look(root)
    assert names(root, image_pattern=pattern) == kept
    assert sorted(case.name for case in find_inputs(root, dims=3, image_pattern=pattern)) == kept


def test_several_volumes_of_a_patient(tmp_path):
    root = make(tmp_path, ["p1/a.nii", "p1/b.nii", "p2/a.nii"])
    with pytest.raises(InputError, match=r"2 volumes in the folder p1, of one patient or of many; .*--patient_pattern"):
        find_cases(root)
    found = find_cases(root, Request(image_pattern="."))
    assert [case.patient for case in found.cases] == ["p1", "p1", "p2"]
    found = find_cases(root, Request(patient_pattern=r"p\d_[ab]"))
    assert [case.patient for case in found.cases] == ["p1_a", "p1_b", "p2_a"]
    assert len(find_inputs(root, dims=3)) == 3  # each gets its mask


def test_dicom_beside_other_volumes(tmp_path):
    write_slices(tmp_path / "p1", stored())
    write_nifti(tmp_path / "p1" / "nodule.nii.gz", ct())
    for look in (find_cases, lambda folder: find_inputs(folder, dims=3)):
        with pytest.raises(InputError, match=r"p1: a DICOM series and nodule\.nii\.gz in one folder; --image_pattern"):
            look(tmp_path)
    (case,) = find_cases(tmp_path, Request(image_pattern="^p1$")).cases
    assert read_volume(case.image).array.shape == (9, 8, 7)


def test_all_names_alike_say_nothing(tmp_path):
    assert names(make(tmp_path, ["roi_1.nii", "roi_2.nii"])) == ["roi_1", "roi_2"]


def test_what_3d_slicer_calls_a_segmentation(tmp_path):
    root = make(tmp_path, ["images/c0.nii.gz", "labels/c0.seg.nrrd"])
    (case,) = find_cases(root).cases
    assert case.label == root / "labels" / "c0.seg.nrrd"


def test_two_files_for_one_label(tmp_path):
    with pytest.raises(InputError, match=r"two volumes are called a: .*labels/a\.nii.* and .*labels/a\.nrrd"):
        find_cases(make(tmp_path, ["images/a.nii", "labels/a.nii", "labels/a.nrrd"]))


def test_uneven_slices_go_with_the_case(tmp_path):
    write_slices(tmp_path, stored(), heights=[0, 1, 2, 3, 4, 5, 7])
    case_set = find_cases(tmp_path)
    with pytest.raises(InputError, match=r"a DICOM slice is missing .*--uneven_slices resample"):
        check(case_set, progress=False)
    report = check(find_cases(tmp_path, Request(uneven_slices="resample")), progress=False)
    assert report.shapes[tmp_path.name] == (9, 8, 8)
    assert "resampled from 7 slices to 8" in report.read_notes[tmp_path.name]


def test_a_file_of_dicom_as_input(tmp_path):
    write_slices(tmp_path, stored(), name="IM{}")
    (case,) = find_inputs(tmp_path / "IM2", dims=3)
    assert case.name == "IM2"
    assert read_volume(case.image).array.shape == (9, 8, 7)


def test_links_to_folders_are_followed_and_nothing_counts_twice(tmp_path):
    store = make(tmp_path / "store", ["p1/a.nii", "p2/a.nii", "p3/a.nii"])
    write_slices(tmp_path / "scans" / "x", stored())
    root = make(tmp_path / "set", ["own/a.nii", "#recycle/b.nii", "@eaDir/c.nii"])
    for name in ("p1", "p2"):
        (root / name).symlink_to(store / name)
    (root / "again").symlink_to(root / "own")
    (root / "loop").symlink_to(root)
    (root / "dicom").symlink_to(tmp_path / "scans")
    found = find_cases(root)
    assert [case.name for case in found.cases] == ["dicom_x", "own_a", "p1_a", "p2_a"]
    assert sorted(case.name for case in find_inputs(root, dims=3)) == ["dicom_x", "own_a", "p1_a", "p2_a"]
    (note,) = found.notes
    assert "4 files are no volumes" in note
    assert "(2 reached by a link too, 1 in #recycle, 1 in @eaDir)" in note


def test_a_folder_of_links(tmp_path):
    make(tmp_path / "store", ["i/a.nii", "i/b.nii", "l/a.nii", "l/b.nii"])
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "store" / "i")
    (tmp_path / "set" / "labels").symlink_to(tmp_path / "store" / "l")
    found = find_cases(tmp_path / "set")
    assert [(case.name, case.label is not None) for case in found.cases] == [("a", True), ("b", True)]


def test_a_dataset_json_of_windows(tmp_path):
    root = make(tmp_path, ["images/a.nii", "labels/a.nii"])
    content = '{"labels": {"0": "background", "1": "liver"}, "modality": {"0": "MR"}}'
    (root / "dataset.json").write_text(content, encoding="utf-8-sig")
    found = find_cases(root)
    assert (found.layout, found.classes, found.modality) == ("folder", {1: "liver"}, "MR")
    listed = content[:-1] + ', "training": [{"image": "images/a.nii", "label": "labels/a.nii"}]}'
    (root / "dataset.json").write_text(listed, encoding="utf-8-sig")
    assert find_cases(root).layout == "decathlon"
