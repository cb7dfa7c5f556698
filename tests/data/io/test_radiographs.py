"""Radiographs in DICOM, written by pydicom, as gray images: windows, LUTs, MONOCHROME1, padding, compression."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from segxfer3d.data.check import check
from segxfer3d.data.inspection import inspect
from segxfer3d.data.io.images import read_image
from segxfer3d.data.io.radiographs import NO_WINDOW, is_radiograph, read_radiograph
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.split import few_of_all
from segxfer3d.errors import InputError
from tests.data.dicom_files import blank, save, stored, with_pixels, write_slices
from tests.data.image_files import find_images, square
from tests.data.image_files import save as save_image

CR, DX, MG = (f"1.2.840.10008.5.1.4.1.1.1{part}" for part in ("", ".1", ".2"))
PIXELS = stored((16, 12, 1))[:, :, 0]  # (X, Y): 16 columns, 12 rows; 0 to 191


def radiograph(path, modality="CR", sop_class=CR, pixels=PIXELS, syntax=None, **about):
    dataset = blank(sop_class=sop_class, modality=modality)
    with_pixels(dataset, [pixels])
    for name, value in about.items():
        setattr(dataset, name, value)
    if syntax:
        dataset.compress(syntax, generate_instance_uid=False)
    return save(dataset, path)


@pytest.mark.parametrize(("modality", "sop_class"), [("CR", CR), ("DX", DX), ("MG", MG)])
def test_a_window_is_what_a_viewer_shows(tmp_path, modality, sop_class):
    path = radiograph(tmp_path / "IM1", modality, sop_class, WindowCenter=100, WindowWidth=101)
    shown, note = read_radiograph(path)
    assert (shown.dtype, shown.shape, note) == (np.uint8, (12, 16), "")
    # DICOM PS3.3 C.11.2.1.2.1: linear from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2
    expected = np.rint(255 * np.clip((PIXELS.T.astype(float) - 49.5) / 100, 0, 1))
    assert np.abs(shown - expected).max() <= 1
    assert (shown.min(), shown.max()) == (0, 255)
    turned, _ = read_radiograph(
        radiograph(tmp_path / "IM2", WindowCenter=100, WindowWidth=101, PhotometricInterpretation="MONOCHROME1")
    )
    np.testing.assert_array_equal(turned, 255 - shown)


def test_without_a_window_from_smallest_to_largest_but_padding(tmp_path):
    pixels = PIXELS.copy()
    pixels[0] = 60000
    path = radiograph(tmp_path / "a.dcm", pixels=pixels, PixelPaddingValue=60000)
    shown, note = read_radiograph(path)
    assert note == NO_WINDOW
    low, high = pixels[1:].min(), pixels[1:].max()
    expected = np.rint(255 * np.clip((pixels.T.astype(float) - low) / (high - low), 0, 1))
    np.testing.assert_array_equal(shown, expected)


def test_slope_and_voi_lut(tmp_path):
    shown, _ = read_radiograph(
        radiograph(tmp_path / "a", RescaleSlope=2, RescaleIntercept=-10, WindowCenter=190.5, WindowWidth=382)
    )
    expected = np.rint(255 * np.clip((2.0 * PIXELS.T - 10 - (190 - 190.5)) / 381, 0, 1))
    assert np.abs(shown - expected).max() <= 1
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [192, 0, 8], list(range(191, -1, -1))
    dataset = pydicom.dcmread(radiograph(tmp_path / "b"))
    dataset.VOILUTSequence = [lut]
    dataset.VOILUTSequence[0]["LUTDescriptor"].VR = "US"
    dataset.VOILUTSequence[0]["LUTData"].VR = "US"
    shown, _ = read_radiograph(save(dataset, tmp_path / "b"))
    np.testing.assert_array_equal(shown, 191 - PIXELS.T)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_ones_are_the_same(tmp_path, syntax):
    pixels = stored((64, 48, 1))[:, :, 0]
    plain, _ = read_radiograph(radiograph(tmp_path / "a", pixels=pixels))
    packed, _ = read_radiograph(radiograph(tmp_path / "b", pixels=pixels, syntax=syntax))
    np.testing.assert_array_equal(packed, plain)


def test_a_folder_of_radiographs_with_masks(tmp_path):
    for number in range(3):
        radiograph(tmp_path / "images" / f"{number}.dcm", WindowCenter=100 + number, WindowWidth=101)
        save_image(tmp_path / "masks" / f"{number}.png", square(value=255))
    found = find_images("", tmp_path)
    assert ([case.name for case in found.cases], found.channels) == (["0", "1", "2"], 1)
    assert len(check(found, progress=False).good) == 3
    color = find_images("", tmp_path, image_kind="color")
    assert read_image(color.cases[0].image, 3, convert=color.convert).array.shape == (3, 12, 16)
    with pytest.raises(InputError, match=r"0\.dcm: a radiograph, which is gray; .*--image_kind color"):
        read_image(color.cases[0].image, 3)
    with pytest.raises(InputError, match="holds images; this bundle takes volumes"):
        find_cases(tmp_path, Request())


def test_what_is_no_radiograph_is_passed_over_with_the_reason(tmp_path):
    radiograph(tmp_path / "1" / "0001")
    radiograph(tmp_path / "1" / "cine", NumberOfFrames=2)
    radiograph(tmp_path / "1" / "roi", "MG", MG, SeriesDescription="ROI mask images")
    write_slices(tmp_path / "ct", stored())
    found = find_images("", tmp_path, task="images")
    assert [case.name for case in found.cases] == ["1_0001"]
    (note,) = found.notes
    assert "9 files are passed over" in note
    for reason in ("7 DICOM of modality CT", "1 DICOM of 2 frames", "1 DICOM that is a mask"):
        assert reason in note
    assert not is_radiograph(tmp_path / "ct" / "IM000.dcm")
    with pytest.raises(InputError, match=r"IM000\.dcm: DICOM of modality CT; expected a single frame of CR, DX, MG"):
        read_radiograph(tmp_path / "ct" / "IM000.dcm")


def test_damaged_ones_are_named(tmp_path):
    path = radiograph(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"a\.dcm: cannot be read, damaged or truncated"):
        read_radiograph(path)


def radiographs_with_masks(root, count=6):
    for number in range(count):
        path = radiograph(root / "images" / f"{number}.dcm", WindowCenter=100, WindowWidth=101)
        dataset = pydicom.dcmread(path)
        dataset.PatientID = f"P{number // 2}"
        dataset.save_as(path)
        save_image(root / "masks" / f"{number}.png", square((12, 16), 255))
    return root


def test_patients_are_those_of_the_files(tmp_path):
    """Two views of a patient never lie in two parts."""
    radiographs_with_masks(tmp_path)
    found = find_images("folder", tmp_path)
    assert [case.patient for case in found.cases] == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert found.notes == (
        "6 radiographs are of 3 patients, by their PatientID; --patient_pattern '.+' takes each as one of its own",
    )
    with pytest.raises(InputError, match=r"label_count: expected 1 to 3 \(the patients\), got 4"):
        few_of_all(found.cases, label_count=4)
    by_name = find_images("folder", tmp_path, patient_pattern="[0-9]").cases
    assert [case.patient for case in by_name] == list("012345")


def test_check_takes_them_for_images_beside_masks(tmp_path):
    found = inspect(radiographs_with_masks(tmp_path), progress=False)
    assert found.lines[0].endswith("images, layout folder, gray")
    assert found.lines[1] == "cases: 6 of 3 patients or scenes, 6 with a mask of foreground"
    assert not found.problems


def test_a_sigmoid_is_no_warning(tmp_path):
    path = radiograph(tmp_path / "a.dcm", WindowCenter=100, WindowWidth=100, VOILUTFunction="SIGMOID")
    shown, _ = read_radiograph(path)
    # DICOM PS3.3 C.11.2.1.3.1
    expected = 255 / (1 + np.exp(-4 * (PIXELS.T.astype(float) - 100) / 100))
    assert np.abs(shown - expected).max() <= 1


@pytest.mark.parametrize("modality", ["XC", "US"])
def test_dicom_of_other_kinds_is_named(tmp_path, modality):
    radiographs_with_masks(tmp_path)
    for path in (tmp_path / "images").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.Modality = modality
        dataset.save_as(path)
    seen = rf"6 files are passed over.*\(6 DICOM of modality {modality}\), for example 0\.dcm"
    with pytest.raises(InputError, match=f"masks without images; .*{seen}"):
        inspect(tmp_path, progress=False)
    with pytest.raises(InputError, match=seen):
        find_images("folder", tmp_path / "images", task="images")


def test_a_damaged_one_is_named_where_its_mask_is_alone(tmp_path):
    radiographs_with_masks(tmp_path)
    path = tmp_path / "images" / "3.dcm"
    path.write_bytes(path.read_bytes()[:300])
    why = r"3\.png \(mask without image\); 1 files are passed over.*, for example 3\.dcm"
    with pytest.raises(InputError, match=why):
        find_images("folder", tmp_path)
