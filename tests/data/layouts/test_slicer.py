"""Scenes of 3D Slicer: a segmentation beside each volume."""

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import load_volume
from segxfer3d.errors import InputError
from tests.data.io.test_segments import ALL, LEFT, RIGHT, write_segments
from tests.data.volumes import ct, write_dicom, write_itk, write_nifti

BOTH = [LEFT + RIGHT * 2], [("tumor", 0, 1), ("liver", 0, 2)]


def test_segmentations_find_their_volumes(tmp_path):
    write_itk(tmp_path / "p1" / "2 Body.nrrd", ct())
    write_segments(tmp_path / "p1" / "Segmentation.seg.nrrd", *BOTH)
    write_nifti(tmp_path / "p2" / "a.nii.gz", ct())
    write_nifti(tmp_path / "p2" / "b.nii.gz", ct())
    write_segments(tmp_path / "p2" / "a.seg.nrrd", [LEFT, RIGHT], [("liver", 0, 1), ("tumor", 1, 1)])
    write_dicom(tmp_path / "p3", ct())
    write_segments(tmp_path / "p3" / "any name.seg.nrrd", *BOTH)
    (tmp_path / "p1" / "scene.mrml").write_text("<MRML/>")
    found = find_cases(tmp_path)
    assert (found.layout, found.classes) == ("slicer", {1: "tumor", 2: "liver"})
    labels = {case.name: case.label and case.label.name for case in found.cases}
    assert labels == {
        "p1_2 Body": "Segmentation.seg.nrrd", "p2_a": "a.seg.nrrd", "p2_b": None, "p3": "any name.seg.nrrd",
    }  # fmt: skip
    assert [case.patient for case in found.cases][:3] == ["p1", "p2", "p2"]
    assert check(found, progress=False).good == found.cases
    np.testing.assert_array_equal(load_volume(found.cases[1]).label.array, LEFT * 2 + RIGHT)


def test_flat_folders(tmp_path):
    for name in ("a", "b"):
        write_itk(tmp_path / f"{name}.nrrd", ct())
        write_segments(tmp_path / f"{name}.seg.nrrd", *BOTH)
    found = find_cases(tmp_path)
    assert [(case.name, case.label.name) for case in found.cases] == [("a", "a.seg.nrrd"), ("b", "b.seg.nrrd")]


def test_overlapping_layers_are_a_bad_case(tmp_path):
    write_itk(tmp_path / "a.nrrd", ct())
    write_segments(tmp_path / "a.seg.nrrd", [LEFT, ALL], [("core", 0, 1), ("whole", 1, 1)])
    with pytest.raises(InputError, match=r"1 of 1 cases .*\n.*a\.seg\.nrrd: the segments core and whole overlap"):
        check(find_cases(tmp_path), progress=False)


def test_what_does_not_match(tmp_path):
    write_itk(tmp_path / "p1" / "a.nrrd", ct())
    write_segments(tmp_path / "p1" / "a.seg.nrrd", *BOTH)
    write_segments(tmp_path / "p1" / "again.seg.nrrd", *BOTH)
    write_segments(tmp_path / "p2" / "b.seg.nrrd", *BOTH)
    with pytest.raises(InputError, match=r"again\.seg\.nrrd \(two labels of one image\)") as error:
        find_cases(tmp_path)
    assert "b.seg.nrrd (label without image)" in str(error.value)


def test_folders_of_labels_are_no_scenes(tmp_path):
    write_itk(tmp_path / "images" / "a.nrrd", ct())
    write_segments(tmp_path / "labels" / "a.seg.nrrd", *BOTH)
    assert find_cases(tmp_path).layout == "folder"
    with pytest.raises(InputError, match="label without image"):
        find_cases(tmp_path, Request(layout="slicer"))
