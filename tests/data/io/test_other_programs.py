"""Files of each format as programs write them that are not ours, voxel by voxel and at their places.

ITK 5.4 (itk-io), pynrrd 1.1, highdicom 0.28, dcm2niix 1.0.20260724; SimpleITK, nibabel, pydicom and the compressors in
the tests beside this one.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from tests.data.dicom_files import AXIAL, MR, PET, stored, write_slices
from tests.data.volumes import AFFINE, ct, write_nifti

WRITER = Path(__file__).with_name("other_programs.py")
ITK_FILES = ["a.nii", "z.nii.gz", "a.mha", "z.mha", "a.mhd", "z.mhd", "a.nrrd", "z.nrrd", "a.nhdr", "z.nhdr"]


@pytest.fixture(scope="module")
def by_itk(tmp_path_factory):
    """The files that ITK itself writes of one volume, the ``z`` ones compressed."""
    if find_spec("itk") is None:
        pytest.skip("needs itk-io")
    folder = tmp_path_factory.mktemp("itk")
    np.save(folder / "values.npy", ct())
    np.save(folder / "affine.npy", AFFINE)
    inputs = [str(folder / name) for name in ("values.npy", "affine.npy")]
    command = [sys.executable, "-W", "ignore", str(WRITER), *inputs, *(str(folder / name) for name in ITK_FILES)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", ITK_FILES)
def test_written_by_itk(by_itk, name):
    volume = read_volume(by_itk / name)
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "LPS", "RAS"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
def test_written_by_pynrrd(tmp_path, space, encoding, name):
    nrrd = pytest.importorskip("nrrd")
    sign = np.diag([1.0, 1.0, 1.0]) if space[0].upper() == "R" else np.diag([-1.0, -1.0, 1.0])
    header = {
        "space": space, "space directions": (sign @ AFFINE[:3, :3]).T, "space origin": sign @ AFFINE[:3, 3],
        "encoding": encoding,
    }  # fmt: skip
    nrrd.write(str(tmp_path / name), ct(), header)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, ct())
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("CT", {}),
        ("MR", {"sop_class": MR, "modality": "MR"}),
        ("PET", {"sop_class": PET, "modality": "PT"}),
    ],
)
def test_enhanced_by_highdicom(tmp_path, kind, about):
    legacy = pytest.importorskip("highdicom").legacy

    def edit(dataset, k):
        # with what type 2 asks for; every slice has its own scale
        for name in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber", "StudyDate"):
            setattr(dataset, name, "")
        dataset.StudyTime = dataset.ReferringPhysicianName = dataset.Manufacturer = ""
        dataset.PositionReferenceIndicator, dataset.FrameOfReferenceUID = "", "1.2.3.9"
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 0.5 + 0.25 * k, -k, "HU"

    folder = write_slices(tmp_path / "classic", stored(), edit=edit, **about)
    expected = read_volume(folder)
    classic = [pydicom.dcmread(path) for path in sorted(folder.iterdir(), reverse=True)]
    make = getattr(legacy, f"LegacyConvertedEnhanced{kind}Image")
    made = make(classic, series_instance_uid="1.2.9", series_number=2, sop_instance_uid="1.2.9.1", instance_number=1)
    made.save_as(tmp_path / "enhanced.dcm")
    volume = read_volume(tmp_path / "enhanced.dcm")
    slopes, intercepts = 0.5 + 0.25 * np.arange(7), -np.arange(7)
    np.testing.assert_allclose(volume.array, stored() * slopes + intercepts, rtol=1e-6)
    np.testing.assert_array_equal(volume.array, expected.array)
    np.testing.assert_allclose(volume.affine, expected.affine)


def dcm2niix(folder, output, *options):
    if find_spec("dcm2niix") is None:
        pytest.skip("needs dcm2niix")
    output.mkdir()
    command = [sys.executable, "-m", "dcm2niix", "-f", "x", *options, "-o", str(output), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return output


SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


@pytest.mark.parametrize("options", [["-z", "n"], ["-z", "y"], ["-e", "y"]])
@pytest.mark.parametrize(("turn", "step"), [(AXIAL, (0.0, 0.0, 2.5)), (SAGITTAL, (-2.5, 0.0, 0.0))])
def test_converted_by_dcm2niix(tmp_path, options, turn, step):
    def edit(dataset, k):
        dataset.ImageOrientationPatient = turn

    folder = write_slices(tmp_path / "s", stored((40, 36, 12), "int16"), step=step, edit=edit)
    output = dcm2niix(folder, tmp_path / "out", *options)
    (path,) = [path for path in output.iterdir() if path.suffix != ".json"]
    series, converted = read_volume(folder), read_volume(path)
    # both to one order of axes: dcm2niix turns rows, and the slices of some stacks
    values, places = zip(*(canonical(volume) for volume in (series, converted)), strict=True)
    np.testing.assert_array_equal(*values)
    np.testing.assert_allclose(*places, atol=1e-3)


def canonical(volume):
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume.array, volume.affine))
    return np.asarray(image.dataobj), image.affine


@pytest.mark.parametrize(
    ("about", "twin"),
    [
        ({"heights": [0, 1, 2, 3, 4, 5, 6, 7, 8.6, 9.6, 10.6, 11.6]}, "x_Eq_1"),
        ({"step": (0.0, 0.8, 2.5)}, "x_Tilt_1"),
    ],
)
def test_the_twins_of_dcm2niix_are_refused(tmp_path, about, twin):
    def edit(dataset, k):
        dataset.GantryDetectorTilt = 17.7 if "step" in about else 0

    folder = write_slices(tmp_path / "s", stored((40, 36, 12), "int16"), edit=edit, **about)
    output = dcm2niix(folder, tmp_path / "out", "-z", "y")
    assert {path.name for path in output.iterdir()} >= {"x.nii.gz", f"{twin}.nii.gz"}
    with pytest.raises(InputError, match=rf"other versions of volumes beside them, .*\({twin}\); --image_pattern"):
        find_cases(output)
    (case,) = find_cases(output, Request(image_pattern=f"{twin}$")).cases
    assert case.name == twin


def test_letters_that_dcm2niix_appends(tmp_path):
    for name in ("x", "xa", "y"):
        write_nifti(tmp_path / f"{name}.nii.gz", ct())
    assert len(find_cases(tmp_path).cases) == 3  # of which nothing says that dcm2niix wrote them
    for name in ("x", "xa"):
        (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(InputError, match=r"1 of 3 volumes are other versions of volumes .*\(xa\)"):
        find_cases(tmp_path)
