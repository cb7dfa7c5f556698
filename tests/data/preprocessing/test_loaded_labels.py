"""A label with a mask for each class is one label map."""

import numpy as np
import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.preprocessing.loaded_labels import load_label
from segxfer3d.errors import InputError
from tests.data.io.test_segments import ALL, LEFT, RIGHT
from tests.data.volumes import AFFINE, ct, write_itk, write_nifti

IMAGE = Volume(ct(), AFFINE)


def case(folder, *masks, **more):
    return Case("a", folder / "ct.nii.gz", folder, masks=tuple(masks), **more)


def test_masks_of_any_format_value_and_orientation(tmp_path):
    left = write_nifti(tmp_path / "left.nii.gz", LEFT * 255)
    turned = AFFINE @ np.array([[-1, 0, 0, 8], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    right = write_itk(tmp_path / "right.nrrd", RIGHT[::-1], turned)
    empty = write_nifti(tmp_path / "empty.nii.gz", LEFT * 0)
    label = load_label(case(tmp_path, (7, left), (300, right), (2, empty)), IMAGE)
    np.testing.assert_array_equal(label.array, LEFT * 7 + RIGHT * np.uint16(300))
    assert label.array.dtype == np.uint16
    only = load_label(case(tmp_path, (7, left), (300, right), label_map=((300, 0), (7, 1))), IMAGE)
    np.testing.assert_array_equal(only.array, LEFT)


@pytest.mark.parametrize(
    ("second", "affine", "message"),
    [
        (ALL, AFFINE, r"b\.nii\.gz: the masks a\.nii\.gz and b\.nii\.gz overlap \(112 voxels\)"),
        (RIGHT + ALL, AFFINE, r"b\.nii\.gz: values 1, 2; expected one value beside 0"),
        (RIGHT, AFFINE * 2, r"b\.nii\.gz: the label's affine is not its image's"),
        (RIGHT[1:], AFFINE, r"b\.nii\.gz: the label's shape 8x8x7 is not its image's 9x8x7"),
    ],
)
def test_masks_that_are_no_label(tmp_path, second, affine, message):
    masks = (1, write_nifti(tmp_path / "a.nii.gz", LEFT)), (2, write_nifti(tmp_path / "b.nii.gz", second, affine))
    with pytest.raises(InputError, match=message):
        load_label(case(tmp_path, *masks), IMAGE)
