"""A mask lies on its image wherever the two are read: by nibabel, SimpleITK, ITK itself and pynrrd.

Images are written by nibabel, SimpleITK and pydicom; every labeled voxel of the mask has to have the world coordinates
that the same program gives the same voxel of the image.
"""

import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.inference.labels import to_label_map
from segxfer3d.inference.predictions import Prediction, write_prediction
from tests.data.dicom_files import stored, write_enhanced, write_slices
from tests.data.volumes import AFFINE, ct, locale_kept, write_dicom, write_itk
from tests.inference.itk_process import Itk

TO_RAS = np.diag([-1.0, -1.0, 1.0])
SHAPE = (9, 8, 7)
LABELED = np.array([[2, 1, 3], [2, 1, 4], [8, 7, 6], [0, 5, 0]])
CLASSES = {1: "nodule"}


def predicted(source, classes=None, **about):
    """What a model might say of a file: some voxels of the last class."""
    classes = classes or CLASSES
    volume = read_volume(source, **about)
    value = list(classes)[-1]
    probabilities = torch.zeros(len(classes), *volume.array.shape)
    probabilities[-1][tuple(LABELED.T)] = 1
    mask = to_label_map(probabilities, list(classes))
    assert set(np.unique(mask).tolist()) == {0, value}
    return Prediction("case", probabilities, mask, volume.affine, classes, volume.notes, source)


def nibabel_places(path, index):
    return nibabel.affines.apply_affine(nibabel.load(path).affine, index)


def sitk_places(path, index):
    image = sitk.ReadImage(str(path))
    index = np.c_[index, np.zeros((len(index), image.GetDimension() - 3))].astype(int)
    points = [image.TransformIndexToPhysicalPoint(row.tolist())[:3] for row in index]
    return np.array(points) @ TO_RAS


ITK = Itk()
PLACES = {"nibabel": nibabel_places, "SimpleITK": sitk_places, "ITK": ITK.places}


def nibabel_labeled(path):
    return np.argwhere(np.asarray(nibabel.load(path).dataobj) != 0)


def sitk_labeled(path):
    return np.argwhere(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T != 0)


FOUND = {"nibabel": nibabel_labeled, "SimpleITK": sitk_labeled, "ITK": ITK.labeled}


@pytest.fixture(scope="module", autouse=True)
def itk():
    yield
    ITK.end()


def nifti(path, kind=nibabel.Nifti1Image, sform=(None, 0), qform=(None, 0), unit="mm", array=None):
    image = kind(ct(SHAPE) if array is None else array, None)
    image.set_sform(*sform)
    image.set_qform(*qform)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def moved(affine=AFFINE):
    affine = affine.copy()
    affine[:3, 3] += (40, -10, 5)
    return affine


def in_unit(millimeters):
    affine = AFFINE.copy()
    affine[:3] /= millimeters
    return affine


def big_endian(path):
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    image = nibabel.Nifti1Image(ct(SHAPE).astype(">i2"), AFFINE, header)
    image.set_qform(AFFINE, 1)
    nibabel.save(image, path)
    return path


def scaled(path):
    image = nibabel.Nifti1Image(ct(SHAPE).astype(np.float32) / 7, AFFINE)
    image.set_data_dtype(np.int16)
    image.set_qform(AFFINE, 2)
    image.header["cal_max"] = 300
    image.header.set_intent("t test", (4,))
    nibabel.save(image, path)
    return path


ACDC = np.diag([-1.3158, -1.3158, 10, 1])
NIFTI = {
    "sform alone": lambda p: nifti(p / "i.nii.gz", sform=(AFFINE, 2)),
    "qform alone": lambda p: nifti(p / "i.nii.gz", qform=(AFFINE, 1)),
    "both": lambda p: nifti(p / "i.nii", sform=(AFFINE, 4), qform=(AFFINE, 1)),
    "forms that disagree": lambda p: nifti(p / "i.nii.gz", sform=(AFFINE, 2), qform=(moved(), 1)),
    "voxel sizes of the qform": lambda p: nifti(p / "i.nii.gz", sform=(np.diag([-1.0, -1, 1, 1]), 2), qform=(ACDC, 1)),
    "neither": lambda p: nifti(p / "i.nii.gz"),
    "microns": lambda p: nifti(p / "i.nii.gz", sform=(in_unit(0.001), 1), qform=(in_unit(0.001), 1), unit="micron"),
    "meters": lambda p: nifti(p / "i.nii.gz", sform=(in_unit(1000), 1), qform=(in_unit(1000), 1), unit="meter"),
    "NIfTI 2": lambda p: nifti(p / "i.nii.gz", nibabel.Nifti2Image, sform=(AFFINE, 2), qform=(moved(), 1)),
    "a pair": lambda p: nifti(p / "i.hdr", nibabel.Nifti1Pair, sform=(AFFINE, 2), qform=(moved(), 1)),
    "one frame of four dimensions": lambda p: nifti(p / "i.nii", qform=(AFFINE, 1), array=ct((*SHAPE, 1))),
    "big endian": lambda p: big_endian(p / "i.nii.gz"),
    "scaled values": lambda p: scaled(p / "i.nii.gz"),
}


@pytest.mark.parametrize("program", PLACES)
@pytest.mark.parametrize("kind", NIFTI)
def test_a_mask_of_a_nifti(tmp_path, kind, program):
    source = NIFTI[kind](tmp_path)
    path = write_prediction(tmp_path, predicted(source), probabilities=True)
    probability = tmp_path / "case_nodule_probability.nii.gz"
    if kind == "NIfTI 2" and program != "nibabel":
        with pytest.raises(RuntimeError):  # ITK opens neither the image nor the mask
            PLACES[program](source, LABELED)
        return
    for file in (path, probability):
        labeled = FOUND[program](file)
        assert sorted(map(tuple, labeled.tolist())) == sorted(map(tuple, LABELED.tolist()))
        np.testing.assert_array_equal(PLACES[program](file, labeled), PLACES[program](source, labeled))
    assert nibabel.load(probability).get_fdata().max() == 1


@pytest.mark.parametrize("kind", NIFTI)
def test_a_mask_has_the_header_of_its_nifti(tmp_path, kind):
    source = NIFTI[kind](tmp_path)
    read, mask = nibabel.load(source).header, nibabel.load(write_prediction(tmp_path, predicted(source))).header
    assert mask.sizeof_hdr == read.sizeof_hdr
    for name in ("sform_code", "qform_code", "xyzt_units", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_z"):
        np.testing.assert_array_equal(mask[name], read[name])
    np.testing.assert_array_equal(mask["pixdim"][:4], read["pixdim"][:4])
    assert mask.get_data_shape() == SHAPE
    assert (mask.get_data_dtype(), mask.get_intent()[0], mask["cal_max"]) == (np.uint8, "none", 0)
    assert mask.get_slope_inter() in ((1, 0), (None, None))


def dicom_places(affine):
    return lambda index: nibabel.affines.apply_affine(affine, index)


AXIAL = np.array([[-0.75, 0, 0, 0], [0, -0.5, 0, 0], [0, 0, 2.5, 0], [0, 0, 0, 1]])
SHEARED = AXIAL.copy()
SHEARED[1, 2] = -0.5
# what the files' own positions say, not our reader
DICOM = {
    "axial": (lambda p: write_slices(p / "s", stored()), AXIAL),
    "oblique": (lambda p: write_dicom(p / "s", ct(SHAPE)), AFFINE),
    "enhanced": (lambda p: write_enhanced(p / "s.dcm", stored(), order=[3, 1, 0, 2, 6, 5, 4]), AXIAL),
    "sheared": (lambda p: write_slices(p / "s", stored(), step=(0, 0.5, 2.5)), SHEARED),
}


@pytest.mark.parametrize("program", PLACES)
@pytest.mark.parametrize("mask_format", ["auto", "nii.gz", "nii", "nrrd", "mha"])
@pytest.mark.parametrize("kind", DICOM)
def test_a_mask_of_dicom(tmp_path, kind, mask_format, program):
    make, affine = DICOM[kind]
    path = write_prediction(tmp_path, predicted(make(tmp_path)), mask_format=mask_format)
    nifti_sheared = kind == "sheared" and path.suffix in (".nii", ".gz")
    if program == "nibabel" and path.suffix in (".nrrd", ".mha"):
        places = read_volume(path).affine  # which nibabel does not open
        np.testing.assert_allclose(places, affine, atol=1e-4)
        return
    if nifti_sheared and program != "nibabel":
        assert mask_format != "auto"
        with pytest.raises(RuntimeError):  # not opened rather than turned
            FOUND[program](path)
        return
    labeled = FOUND[program](path)
    assert sorted(map(tuple, labeled.tolist())) == sorted(map(tuple, LABELED.tolist()))
    np.testing.assert_allclose(PLACES[program](path, labeled), dicom_places(affine)(labeled), atol=1e-4)


@locale_kept()
def test_a_mask_lies_on_its_series_in_simpleitk(tmp_path):
    source = write_dicom(tmp_path / "s", ct(SHAPE))
    path = write_prediction(tmp_path, predicted(source))
    series = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source)))
    mask = sitk.ReadImage(str(path))
    assert mask.GetSize() == series.GetSize()
    for voxel in LABELED.tolist():
        place = mask.TransformIndexToPhysicalPoint(voxel)
        assert mask[series.TransformPhysicalPointToIndex(place)] == 1
        np.testing.assert_allclose(place, series.TransformIndexToPhysicalPoint(voxel), atol=1e-4)


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nhdr", ".mhd"])
@pytest.mark.parametrize("program", ["SimpleITK", "ITK"])
def test_a_mask_of_other_formats(tmp_path, ending, program):
    source = write_itk(tmp_path / f"i{ending}", ct(SHAPE))
    path = write_prediction(tmp_path, predicted(source))
    labeled = FOUND[program](path)
    assert len(labeled) == len(LABELED)
    np.testing.assert_allclose(PLACES[program](path, labeled), PLACES[program](source, labeled), atol=1e-4)


def test_a_mask_of_freesurfer(tmp_path):
    nibabel.save(nibabel.MGHImage(ct(SHAPE), AFFINE.astype(np.float32)), tmp_path / "i.mgz")
    path = write_prediction(tmp_path, predicted(tmp_path / "i.mgz"))
    for places in PLACES.values():
        expected = nibabel_places(tmp_path / "i.mgz", LABELED)
        np.testing.assert_allclose(places(path, LABELED), expected, atol=1e-4)


def test_why_a_mask_is_nrrd_is_said(tmp_path):
    path = write_prediction(tmp_path, predicted(DICOM["sheared"][0](tmp_path)))
    assert path.name == "case_mask.nrrd"
    about = json.loads((tmp_path / "case_mask.json").read_text())
    assert about["notes"] == [
        "its grid is sheared (a tilted gantry), so the mask is NRRD: ITK and 3D Slicer open no sheared NIfTI"
    ]
    sheared = nifti(tmp_path / "i.nii", sform=(SHEARED, 1))
    assert write_prediction(tmp_path, predicted(sheared)).name == "case_mask.nii.gz"
    assert "neither the image nor the mask" in (tmp_path / "case_mask.json").read_text()


def test_rounding_is_no_shear(tmp_path):
    slanted = AFFINE.copy()
    slanted[0, 2] += 2e-3  # more than ITK takes for rounding (3e-4), less than a tenth of a voxel at the far corner
    source = write_itk(tmp_path / "i.nrrd", ct(SHAPE), slanted)
    path = write_prediction(tmp_path, predicted(source))
    assert path.name == "case_mask.nii.gz"
    for program, places in PLACES.items():
        expected = nibabel.affines.apply_affine(slanted, LABELED)
        np.testing.assert_allclose(places(path, LABELED), expected, atol=0.03, err_msg=program)


def test_what_a_series_was_is_said(tmp_path):
    def edit(dataset, k):
        dataset.SeriesDescription = "thin lung"

    source = write_slices(tmp_path / "s", stored(), heights=[0, 1, 2, 3, 4, 5, 7], edit=edit)
    path = write_prediction(tmp_path, predicted(source, uneven="resample"))
    assert nibabel.load(path).shape == (9, 8, 8)
    about = json.loads((tmp_path / "case_mask.json").read_text())
    assert about["series"] == {
        "uid": "1.2.3.4", "number": "1", "description": "thin lung", "modality": "CT", "slices": 7,
    }  # fmt: skip
    assert "resampled from 7 slices to 8" in about["notes"][0]
