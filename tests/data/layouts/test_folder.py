import pytest

from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from tests.data.volumes import ct, write_dicom, write_nifti

from .test_luna16 import make


@pytest.mark.parametrize("folders", [("imagesTr", "labelsTr"), ("images", "masks"), ("image", "label")])
def test_images_and_labels_by_name(tmp_path, folders):
    images, labels = folders
    root = make(tmp_path, [f"{images}/b.nii.gz", f"{images}/a.mhd", f"{labels}/a.nrrd", f"{labels}/b.nii", "notes.txt"])
    found = find_cases(root)
    assert (found.layout, found.modality, found.classes) == ("folder", "CT", {1: "foreground"})
    assert [(case.name, case.image, case.label) for case in found.cases] == [
        ("a", root / images / "a.mhd", root / labels / "a.nrrd"),
        ("b", root / images / "b.nii.gz", root / labels / "b.nii"),
    ]


def test_unlabeled_volumes_beside_labeled_ones(tmp_path):
    found = find_cases(make(tmp_path, ["imagesTr/a.nii", "labelsTr/a.nii", "imagesTs/b.nii"]))
    assert [case.name for case in found.labeled] == ["a"]
    assert [case.name for case in found.unlabeled] == ["b"]


def test_nnunet_channel_number_is_passed_over(tmp_path):
    root = make(tmp_path, ["imagesTr/a_0000.nii", "labelsTr/a.nii", "imagesTr/b_0000.nii", "labelsTr/b_0000.nii"])
    found = {case.name: case.label for case in find_cases(root).cases}
    assert found == {"a_0000": root / "labelsTr/a.nii", "b_0000": root / "labelsTr/b_0000.nii"}


def test_bare_volumes_at_any_depth(tmp_path):
    root = make(tmp_path, ["b.nii.gz", "x/a.nrrd", "x/.hidden.nii", ".trash/c.nii", "readme.md"])
    write_dicom(tmp_path / "LIDC-IDRI-0001" / "1.3.6", ct((4, 4, 3)))
    found = find_cases(root)
    assert found.labeled == ()
    assert {case.name: case.image for case in found.cases} == {
        "b": root / "b.nii.gz",
        "x_a": root / "x" / "a.nrrd",
        "LIDC-IDRI-0001_1.3.6": root / "LIDC-IDRI-0001" / "1.3.6",
    }
    assert found.cases[0].patient == "LIDC-IDRI-0001"


def test_the_folder_may_be_one_dicom_series(tmp_path):
    write_dicom(tmp_path / "scan", ct((4, 4, 3)))
    (case,) = find_cases(tmp_path / "scan").cases
    assert (case.name, case.image) == ("scan", tmp_path / "scan")


def test_images_and_labels_that_do_not_fit(tmp_path):
    lone = [f"images/i{i:02d}.nii" for i in range(12)]
    with pytest.raises(InputError) as error:
        find_cases(make(tmp_path, [*lone, "images/a.nii", "labels/a.nii", "labels/b.nii"]))
    message = str(error.value)
    assert "images/i00.nii (image without label); " in message
    assert message.endswith("; and 3 more")
    with pytest.raises(InputError, match=r"labels/b\.nii \(label without image\)$"):
        find_cases(make(tmp_path / "other", ["images/a.nii", "labels/a.nii", "labels/b.nii"]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.nii", "a.nrrd"], r"two volumes are called a: .*a\.nii and .*a\.nrrd"),
        (["images/a.nii", "images/b.nii", "imagesTs/b.nii"], "two volumes are called b"),
        (["labels/a.nii"], "labels: labels without images; expected imagesTr or images or image beside it"),
        (["images/a.nii", "labels/readme.md"], "image without label"),
        (["readme.md"], "no volumes in it"),
        (["images/readme.md"], "no volumes in it"),
    ],
)
def test_refused(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        find_cases(make(tmp_path, names))


def test_dataset_dir_must_be_a_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        find_cases(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: not a folder"):
        find_cases(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no volumes in it"):
        find_cases(tmp_path / "empty")


def test_pattern_that_does_not_fit(tmp_path):
    with pytest.raises(InputError, match="finds no patient in the file name 'a'"):
        find_cases(make(tmp_path, ["a.nii"]), Request(patient_pattern=r"p\d+"))


def test_two_files_for_one_label_and_two_images_of_one_label(tmp_path):
    for name in ("images/a.nii.gz", "labels/a.nii.gz", "labels/a.seg.nrrd", "images/b.nii", "images/b_0000.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "labels" / "b.nii").touch()
    with pytest.raises(InputError) as error:
        find_cases(tmp_path)
    assert "labels/a.nii.gz and " in str(error.value)
    assert "labels/a.seg.nrrd (two labels of one image)" in str(error.value)
    assert "images/b_0000.nii (two images of one label)" in str(error.value)


def test_folders_in_large_letters(tmp_path):
    write_nifti(tmp_path / "Images" / "b c.nii.gz", ct())
    write_nifti(tmp_path / "LABELS" / "b c.nii.gz", ct())
    found = find_cases(tmp_path)
    assert [(case.name, case.label is not None) for case in found.cases] == [("b c", True)]
