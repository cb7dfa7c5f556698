"""Which DICOM files make a volume, whatever they are called and whatever lies beside them, and which are refused."""

import re

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.tag import Tag

from segxfer3d.data.io.dicom import contents_of, read_dicom
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from tests.data.dicom_files import (
    AXIAL,
    blank,
    save,
    stored,
    with_pixels,
    write_enhanced,
    write_slices,
)

MEDIA = "1.2.840.10008.1.3.10"


def test_files_of_any_name_and_what_is_passed_over(tmp_path):
    write_slices(tmp_path, stored()[:, :, :4], name="1.2.826.0.{}")
    for k, name in enumerate(["IM0005", "six.img", "7"]):
        other = tmp_path / "other"
        write_slices(other, stored()[:, :, [4 + k]], heights=[4 + k])
        (other / "IM000.dcm").rename(tmp_path / name)
    other.rmdir()
    directory = Dataset()
    directory.file_meta = blank().file_meta
    directory.file_meta.MediaStorageSOPClassUID, directory.file_meta.MediaStorageSOPInstanceUID = MEDIA, "1.2"
    directory.DirectoryRecordSequence = []
    save(directory, tmp_path / "DICOMDIR")
    (tmp_path / "notes").write_text("of a reader")
    segmentation = blank(modality="SEG", sop_class="1.2.840.10008.5.1.4.1.1.66.4")
    save(segmentation, tmp_path / "seg.dcm")
    np.testing.assert_array_equal(read_volume(tmp_path).array, stored())
    passed = {path.rsplit("/")[-1]: why for path, why in contents_of(tmp_path).passed.items()}
    assert passed == {"DICOMDIR": "a DICOMDIR", "notes": "not DICOM", "seg.dcm": "of modality SEG"}


def test_without_preamble(tmp_path):
    write_slices(tmp_path, stored())
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        content = DicomBytesIO()
        content.is_little_endian, content.is_implicit_VR = True, True
        del dataset.file_meta
        pydicom.dcmwrite(content, dataset, implicit_vr=True, little_endian=True)
        path.write_bytes(content.getvalue())
    np.testing.assert_array_equal(read_volume(tmp_path).array, stored())


def test_a_localizer_in_the_series_is_left_out(tmp_path):
    write_slices(tmp_path, stored())
    localizer = blank()
    localizer.ImageType, localizer.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [0, 1, 0, 0, 0, -1]
    localizer.PixelSpacing, localizer.ImagePositionPatient = [1, 1], [0, 0, 0]
    with_pixels(localizer, [stored()[:, :, 0]])
    save(localizer, tmp_path / "localizer.dcm")
    np.testing.assert_array_equal(read_volume(tmp_path).array, stored())


@pytest.mark.parametrize("modality", ["SEG", "RTSTRUCT", "RTDOSE", "SR", "KO", "PR", "REG"])
def test_what_is_no_image(tmp_path, modality):
    dataset = blank(modality=modality, sop_class="1.2.3")
    dataset.PixelSpacing, dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [1, 1], [0, 0, 0], AXIAL
    with_pixels(dataset, [stored()[:, :, 0]])
    save(dataset, tmp_path / "a.dcm")
    with pytest.raises(InputError, match="no DICOM series in this folder that is a volume"):
        read_volume(tmp_path)
    with pytest.raises(InputError, match=rf"a\.dcm: no volume \(of modality {modality}\)"):
        read_volume(tmp_path / "a.dcm")


def test_a_single_file_stands_for_its_series(tmp_path):
    write_slices(tmp_path, stored(), name="a{}.dcm", series="1.1")
    write_slices(tmp_path, stored((5, 5, 5)), name="b{}.dcm", series="1.2")
    np.testing.assert_array_equal(read_volume(tmp_path / "a3.dcm").array, stored())
    np.testing.assert_array_equal(read_volume(tmp_path / "b0.dcm").array, stored((5, 5, 5)))


def test_a_scan_without_a_place_is_refused(tmp_path):
    def finish(dataset, k):
        if k == 6:
            del dataset.ImagePositionPatient

    with pytest.raises(InputError, match=r"IM006\.dcm: no ImagePositionPatient"):
        read_volume(write_slices(tmp_path, stored(), finish=finish))


@pytest.mark.parametrize("spacing", [[0.5, 0], ["", ""], None])
def test_voxels_without_a_size_are_refused(tmp_path, spacing):
    def finish(dataset, k):
        dataset.PixelSpacing = spacing

    with pytest.raises(InputError, match="PixelSpacing"):
        read_volume(write_slices(tmp_path, stored(), finish=finish))


def test_damaged_files_are_named(tmp_path):
    write_slices(tmp_path, stored())
    path = tmp_path / "IM003.dcm"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"IM003\.dcm: cannot be read, damaged or truncated \(pixels are missing\)"):
        read_volume(tmp_path)


def test_a_claimed_size_beyond_memory_is_refused_before_anything_is_taken(tmp_path):
    def finish(dataset, k):
        dataset.Rows, dataset.Columns = 65535, 65535
        dataset.NumberOfFrames = 500000
        dataset.SpacingBetweenSlices = 1

    write_slices(tmp_path, stored((9, 8, 1)), finish=finish)
    with pytest.raises(InputError, match="500000 frames of 65535x65535 pixels are claimed"):
        read_dicom(tmp_path)


def test_slices_of_8_and_of_16_bits_in_one_series(tmp_path):
    array = stored() % 200

    def finish(dataset, k):
        if k % 2:
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit = 7
            dataset.PixelData = np.ascontiguousarray(array[:, :, k].T).astype(np.uint8).tobytes()

    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, array, finish=finish)).array, array)


@pytest.mark.parametrize("slope", ["0", "NaN"])
def test_a_slope_that_leaves_no_values(tmp_path, slope):
    def edit(dataset, k):
        dataset.RescaleSlope = "1"
        if k == 3:
            dataset["RescaleSlope"] = RawDataElement(
                Tag("RescaleSlope"), "DS", 4, slope.ljust(4).encode(), 0, False, True
            )

    folder = write_slices(tmp_path, stored(), edit=edit)
    with pytest.raises(
        InputError, match=r"IM003\.dcm: RescaleSlope (0|nan) and RescaleIntercept 0, which leave no value"
    ):
        read_volume(folder)


def test_a_slice_that_is_cut_off_anywhere_is_named_and_not_left_out(tmp_path):
    # the last of a series: without it the rest is a whole volume, only shorter
    write_slices(tmp_path, stored())
    last = tmp_path / "IM006.dcm"
    whole = last.read_bytes()
    for length in range(0, len(whole), 7):
        last.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"IM006\.dcm"):
            read_volume(tmp_path)


@pytest.mark.parametrize("name", ["1.2.840.1.{}", "IM{:04d}", "{:08d}", "I{}", "scan{}.IMA"])
def test_what_is_called_as_a_slice_is_one(tmp_path, name):
    write_slices(tmp_path, stored(), name=name)
    (tmp_path / name.format(6)).write_text("<html>404</html>")
    with pytest.raises(InputError, match=re.escape(name.format(6)) + r" \(not DICOM\)"):
        read_volume(tmp_path)


def test_other_files_beside_slices_are_passed_over(tmp_path):
    write_slices(tmp_path, stored(), name="IM{:04d}")
    for name in ("VERSION", "LOCKFILE", "readme.txt", "info2"):
        (tmp_path / name).write_text("")
    assert read_volume(tmp_path).array.shape == (9, 8, 7)
    assert {path.rpartition("/")[2] for path in contents_of(tmp_path).passed} == {"VERSION", "LOCKFILE", "info2"}


def test_a_position_far_away_makes_no_slices_without_end(tmp_path):
    folder = write_slices(tmp_path, stored(), heights=[0, 1, 2, 3, 4, 5, 3e8])
    with pytest.raises(
        InputError, match=r"300000001x8x9 voxels would take \S+ GiB; .*; a DICOM slice is missing \(7\.5e\+08"
    ):
        read_volume(folder, uneven="resample")


def test_files_of_one_series_that_no_uid_tells_apart(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        write_enhanced(tmp_path / name, stored())
    told = r"2 DICOM series in one folder.*file a\.dcm.*file b\.dcm.*; some have one UID, so that no --series"
    with pytest.raises(InputError, match=told):
        read_volume(tmp_path)
    with pytest.raises(InputError, match=told):
        find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.dcm").array, stored().astype(int) - 10)
