"""Which slice is drawn and which way up."""

import nibabel
import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.evaluation.slices import CONVENTION, PLANES, largest_slice, marks, pixel_aspect, take_slice, to_ras
from tests.data.volumes import AFFINE

# a RAS volume whose voxels at the patient's right, front and top are marked
RIGHT, FRONT, TOP = 1, 2, 3


def marked():
    volume = np.zeros((5, 6, 7), int)
    volume[-1, 3, 3], volume[2, -1, 3], volume[2, 3, -1] = RIGHT, FRONT, TOP
    return volume


def place(picture, value):
    return [int(i[0]) for i in np.nonzero(picture == value)]


def test_image_left_is_patient_right():
    axial = take_slice(marked(), 3, "axial")
    assert axial.shape == (6, 5)
    assert place(axial, RIGHT) == [2, 0]  # left edge
    assert place(axial, FRONT) == [0, 2]  # upper edge
    coronal = take_slice(marked(), 3, "coronal")
    assert coronal.shape == (7, 5)
    assert place(coronal, RIGHT) == [3, 0]
    assert place(coronal, TOP) == [0, 2]
    sagittal = take_slice(marked(), 2, "sagittal")
    assert sagittal.shape == (7, 6)
    assert place(sagittal, FRONT) == [3, 0]
    assert place(sagittal, TOP) == [0, 2]
    assert [marks(plane) for plane in PLANES] == [("R", "L"), ("R", "L"), ("A", "P")]
    assert "image left is patient right" in CONVENTION["axial"]


def test_pixels_have_the_shape_of_the_voxels():
    assert [pixel_aspect((1, 2, 6), plane) for plane in PLANES] == [2, 6, 3]


def test_the_slice_with_the_largest_label():
    label = np.zeros((6, 6, 9), int)
    label[1:4, 1:4, 2], label[1:3, 1:3, 7], label[0, 0, :] = 1, 2, 1
    assert largest_slice(label) == 2
    assert largest_slice(np.zeros((4, 4, 9))) == 4
    label[:] = 0
    label[2, 2, 3:6] = 1
    assert largest_slice(label) == 4
    assert largest_slice(label, "coronal") == 2


def test_volumes_are_turned_to_ras():
    volume = marked()
    lps = np.diag([-1.0, -2.0, 3.0, 1.0])
    turned, spacing = to_ras(volume[::-1, ::-1], lps)
    assert np.array_equal(turned, volume)
    assert spacing == (1, 2, 3)
    swapped = np.array([[0, 0, 4.0, 0], [3.0, 0, 0, 0], [0, -2.0, 0, 0], [0, 0, 0, 1]])
    array = np.arange(60).reshape(3, 4, 5)
    turned, spacing = to_ras(array, swapped)
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(array.astype(np.int16), swapped))
    assert np.array_equal(turned, np.asarray(image.dataobj))
    assert spacing == pytest.approx(image.header.get_zooms())
    oblique, spacing = to_ras(array, AFFINE)
    assert oblique.shape == array.shape
    assert spacing == pytest.approx((1.0, 1.5, 2.5))


def test_unknown_planes_and_slices():
    with pytest.raises(InputError, match="plane: expected one of axial"):
        largest_slice(marked(), "oblique")
    with pytest.raises(InputError, match="slice 7: expected 0 to 6"):
        take_slice(marked(), 7)
