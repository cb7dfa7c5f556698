"""What there is to segment at a path."""

import re

import nibabel
import numpy as np
import pytest

from segxfer3d.data.inspection import inspect
from segxfer3d.data.io.images import ENDINGS
from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from segxfer3d.inference.inputs import find_inputs, passed_files, passed_over
from tests.data.image_files import noise, save


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    return path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, noise((8, 8)))


def names(cases):
    return {case.name: case.image for case in cases}


def test_a_file_or_everything_of_the_kind_below_a_folder(tmp_path):
    scan, deep = volume(tmp_path / "scan.nii.gz"), volume(tmp_path / "b" / "deep.nii")
    first, second = picture(tmp_path / "a.png"), picture(tmp_path / "b" / "c" / "d.JPG")
    picture(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("x")
    assert names(find_inputs(scan, dims=3)) == {"scan": scan}
    assert names(find_inputs(tmp_path, dims=3)) == {"scan": scan, "b_deep": deep}
    assert names(find_inputs(str(first), dims=2)) == {"a": first}
    assert names(find_inputs(tmp_path, dims=2)) == {"a": first, "b_c_d": second}
    assert set(passed_over(tmp_path, dims=3)) == {first, second}
    assert set(passed_over(tmp_path, dims=2)) == {scan, deep}
    assert passed_over(scan, dims=3) == ()


def test_a_folder_of_nnunet_is_called_as_its_cases(tmp_path):
    first, second = volume(tmp_path / "a_0000.nii.gz"), volume(tmp_path / "b_0000.nii.gz")
    assert names(find_inputs(tmp_path, dims=3)) == {"a": first, "b": second}
    assert names(find_inputs(first, dims=3)) == {"a_0000": first}
    third = volume(tmp_path / "b.nii.gz")  # not all of them are of nnU-Net
    assert names(find_inputs(tmp_path, dims=3)) == {"a_0000": first, "b_0000": second, "b": third}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_of_images(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    path.touch()
    assert names(find_inputs(path, dims=2)) == names(find_inputs(tmp_path, dims=2)) == {"a": path}


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"input \(none\): no such file or folder; expected a volume"):
        find_inputs("", dims=3)
    with pytest.raises(InputError, match=r"input .*missing: no such file or folder; expected an image"):
        find_inputs(tmp_path / "missing", dims=2)
    with pytest.raises(InputError, match="no images in this folder"):
        find_inputs(tmp_path, dims=2)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes\.txt: expected a volume \(\.nii\.gz, .*a DICOM file or folder"):
        find_inputs(tmp_path / "notes.txt", dims=3)


def test_what_no_reader_takes_is_said(tmp_path):
    for name in ("a.img", "b.vtk", "c.nii.bz2", "c.png"):
        (tmp_path / name).write_bytes(bytes(300))
    with pytest.raises(InputError, match=r"holds images only \(c\.png\)"):
        find_inputs(tmp_path, dims=3)
    (tmp_path / "c.png").unlink()
    said = (
        "3 files are no volumes and are passed over (1 .img without its .hdr, 1 .vtk, 1 not DICOM), for example a.img"
    )
    with pytest.raises(InputError, match=re.escape(f"no volumes in this folder; {said}")):
        find_inputs(tmp_path, dims=3)
    with pytest.raises(InputError, match=re.escape(said)):
        find_cases(tmp_path)
    volume(tmp_path / "scan.nii.gz")
    (tmp_path / "scan.json").write_text("{}")
    assert passed_files(tmp_path, dims=3) == (said,)
    assert said in inspect(tmp_path, progress=False).text()


def test_both_files_of_a_pair_are_one_volume(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "scan.hdr")
    assert names(find_inputs(tmp_path, dims=3)) == {"scan": tmp_path / "scan.hdr"}
    assert passed_files(tmp_path, dims=3) == ()


def test_the_other_kind(tmp_path):
    scan, image = volume(tmp_path / "v" / "scan.nii.gz"), picture(tmp_path / "i" / "a.png")
    with pytest.raises(InputError, match=r"checkpoint m\.pt: a model of 2D images; .*scan\.nii\.gz is a volume"):
        find_inputs(scan, dims=2, checkpoint="m.pt")
    with pytest.raises(InputError, match=r"^a model of 3D volumes; .*a\.png is an image"):
        find_inputs(image, dims=3)
    with pytest.raises(InputError, match=r"m\.pt: a model of 2D images; the folder .*v holds volumes only \(scan\.nii"):
        find_inputs(tmp_path / "v", dims=2, checkpoint="m.pt")
    with pytest.raises(InputError, match=r"m\.pt: a model of 3D volumes; the folder .*i holds images only \(a\.png\)"):
        find_inputs(tmp_path / "i", dims=3, checkpoint="m.pt")
    dicom = tmp_path / "dicom"
    dicom.mkdir()
    (dicom / "1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match="dicom is a volume"):
        find_inputs(dicom, dims=2)


def test_two_images_of_one_name(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"two images are called a: .*a\.jpg and .*a\.png"):
        find_inputs(tmp_path, dims=2)


def test_masks_are_no_images_to_segment(tmp_path):
    """Such as those that an earlier inference left beside its images."""
    first, second = picture(tmp_path / "images" / "a.png"), picture(tmp_path / "images" / "b_mask.png")
    beside, inside = picture(tmp_path / "images" / "a_mask.png"), picture(tmp_path / "Masks" / "a.png")
    assert names(find_inputs(tmp_path, dims=2)) == {"images_a": first, "images_b_mask": second}
    (note,) = passed_files(tmp_path, dims=2)
    assert note.startswith("2 files are passed over, which are no images to use (2 masks by their names), for example")
    assert names(find_inputs(beside, dims=2)) == {"a_mask": beside}
    assert names(find_inputs(inside.parent, dims=2)) == {"a": inside}
