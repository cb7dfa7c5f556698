"""DICOM volumes: each voxel's value and place, or a refusal. Files by pydicom 3.0, whose writer is not our reader."""

import re

import numpy as np
import pytest
from pydicom.dataset import Dataset

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.errors import InputError
from tests.data.dicom_files import (
    ENHANCED_MR,
    MR,
    PET,
    stored,
    with_pixels,
    write_enhanced,
    write_slices,
)

AFFINE = np.array([[-0.75, 0, 0, 0], [0, -0.5, 0, 0], [0, 0, 2.5, 0], [0, 0, 0, 1]])


def test_place_and_values(tmp_path):
    volume = read_volume(write_slices(tmp_path, stored()))
    np.testing.assert_array_equal(volume.array, stored())
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_every_slice_has_its_own_intercept(tmp_path):
    def edit(dataset, k):
        dataset.RescaleIntercept = 0 if k == 0 else -1024

    array = read_volume(write_slices(tmp_path, stored(), edit=edit)).array
    np.testing.assert_array_equal(array, stored().astype(int) - np.array([0] + [1024] * 6))


def test_every_slice_has_its_own_slope(tmp_path):
    def edit(dataset, k):
        dataset.RescaleSlope = [1, 200, 300, 1, 2, 3, 4][k]

    array = read_volume(write_slices(tmp_path / "a", stored(), edit=edit, sop_class=PET, modality="PT")).array
    np.testing.assert_array_equal(array, stored().astype(int) * [1, 200, 300, 1, 2, 3, 4])

    def fraction(dataset, k):
        dataset.RescaleSlope = 0.25 * (k + 1)

    array = read_volume(write_slices(tmp_path / "b", stored(), edit=fraction)).array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, stored() * (0.25 * np.arange(1, 8)), rtol=1e-6)


def test_signed_and_unsigned_slices_in_one_series(tmp_path):
    array = stored(dtype="int16") - 500

    def edit(dataset, k):
        dataset.RescaleIntercept = -500 if k % 2 else 0

    def finish(dataset, k):
        if k % 2:
            with_pixels(dataset, [(array[:, :, k] + 500).astype("uint16")])

    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, array, edit=edit, finish=finish)).array, array)


def test_bits_that_do_not_belong_to_the_value(tmp_path):
    # 12 bits signed in 16, an overlay in the highest: PS3.5, 8.1.1
    array = stored(dtype="int16") - 500

    def edit(dataset, k):
        dataset.BitsStored, dataset.HighBit = 12, 11

    def finish(dataset, k):
        with_pixels(dataset, [((array[:, :, k].astype(int) & 0x0FFF) | 0x8000 * (k % 2)).astype("uint16")])
        dataset.PixelRepresentation = 1

    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, array, edit=edit, finish=finish)).array, array)


@pytest.mark.parametrize("order", [[0, 2, 4, 6, 1, 3, 5], [6, 5, 4, 3, 2, 1, 0]])
def test_frames_in_any_order(tmp_path, order):
    volume = read_volume(write_enhanced(tmp_path / "e.dcm", stored(), order=order))
    np.testing.assert_array_equal(volume.array, stored().astype(int) - 10)
    np.testing.assert_allclose(volume.affine, AFFINE)


@pytest.mark.parametrize(
    "kind", [("1.2.840.10008.5.1.4.1.1.2.1", "CT"), (ENHANCED_MR, "MR"), ("1.2.840.10008.5.1.4.1.1.130", "PT")]
)
def test_every_frame_has_its_own_slope(tmp_path, kind):
    slopes = [0.5 + 0.25 * k for k in range(7)]
    path = write_enhanced(
        tmp_path / "e.dcm", stored(), slopes=slopes, order=[3, 1, 0, 2, 6, 5, 4], sop_class=kind[0], modality=kind[1]
    )
    np.testing.assert_allclose(read_volume(path.parent).array, stored() * np.array(slopes) - 10, rtol=1e-6)


def test_a_tilted_gantry_keeps_its_shear(tmp_path):
    affine = AFFINE.copy()
    affine[1, 2] = -0.5
    np.testing.assert_allclose(read_volume(write_slices(tmp_path, stored(), step=(0, 0.5, 2.5))).affine, affine)


def test_phases_are_found(tmp_path):
    def phase(group, k):
        group.PlanePositionSequence[0].ImagePositionPatient = [0.0, 0.0, 2.5 * (k % 3)]
        content = Dataset()
        content.TemporalPositionIndex = k // 3 + 1
        group.FrameContentSequence = [content]

    path = write_enhanced(tmp_path / "e.dcm", stored((9, 8, 6)), edit_frame=phase)
    with pytest.raises(
        InputError, match=r"2 DICOM volumes at the same 3 positions, told apart by TemporalPositionIndex \(1, 2\)"
    ):
        read_volume(path)

    def echo(dataset, k):
        dataset.EchoTime = 5 if k < 3 else 10

    folder = write_slices(tmp_path / "b", stored((9, 8, 6)), heights=[0, 1, 2, 0, 1, 2], edit=echo, sop_class=MR)
    with pytest.raises(InputError, match=r"2 DICOM volumes at the same 3 positions, told apart by EchoTime"):
        read_volume(folder)


def test_several_stacks_are_found(tmp_path):
    def turned(dataset, k):
        if k > 4:
            dataset.ImageOrientationPatient = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]

    named = (
        r"5 of 8x9 pixels of 0.5x0.75 mm, rows along 1\0\0 and columns along 0\1\0, such as IM000.dcm, "
        r"2 of 8x9 pixels of 0.5x0.75 mm, rows along 0\1\0 and columns along 0\0\-1, such as IM005.dcm"
    )
    with pytest.raises(InputError, match=re.escape(f"of different sizes or orientations in one series ({named})")):
        read_volume(write_slices(tmp_path, stored(), edit=turned))


def test_a_slice_beside_the_others(tmp_path):
    def moved(dataset, k):
        if k == 3:
            dataset.ImagePositionPatient = [4.0, 0.0, 7.5]

    with pytest.raises(InputError, match=r"the DICOM slice IM003\.dcm lies 4 mm beside the line of the others"):
        read_volume(write_slices(tmp_path, stored(), edit=moved))


def test_uneven_slices_are_resampled_where_that_is_asked_for(tmp_path):
    # values are 10 a millimeter, so that what lies between is known
    heights = [0.0, 1, 2, 4, 5, 6]
    array = np.broadcast_to((25 * np.array(heights)).astype("int16"), (9, 8, 6))
    folder = write_slices(tmp_path, array, heights=heights)
    with pytest.raises(InputError, match=r"a DICOM slice is missing .*; --uneven_slices resample takes it"):
        read_volume(folder)
    volume = read_volume(folder, uneven="resample")
    np.testing.assert_array_equal(volume.array[0, 0], [0, 25, 50, 75, 100, 125, 150])
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert volume.notes == (
        "a DICOM slice is missing (5 mm between the slices 3 and 4, 2.5 mm between others): "
        "resampled from 6 slices to 7, 2.5 mm apart",
    )
