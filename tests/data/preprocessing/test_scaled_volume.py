"""Boxes of a volume as its file stores it are those of the volume that is read at once."""

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.scaled_volume import read_scaled
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError

TURNED = np.array([[0, 0, -2.0, 7], [-1.5, 0, 0, 3], [0, 1.0, 0, 1], [0, 0, 0, 1]])


@pytest.fixture
def case(tmp_path):
    array = np.random.default_rng(0).integers(-1500, 1500, (13, 11, 17)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, TURNED), tmp_path / "scan.nii.gz")
    return Case("scan", tmp_path / "scan.nii.gz")


@pytest.mark.parametrize("scale", [{}, {"intensity": "foreground", "mean": -50.0, "sd": 3.0}])
def test_boxes_are_those_of_the_whole_bit_for_bit(case, scale):
    preprocessing = VolumePreprocessing(scales=(Scale(**scale),))
    volume = read_scaled(preprocessing, case, KeptVolumes(0))
    whole = preprocessing.read(case, CaseSet(case.image.parent, "folder", 3, (case,)), label=False)["image"]
    assert volume.shape == tuple(whole.shape)
    for box in (tuple(slice(0, side) for side in whole.shape[1:]), (slice(3, 9), slice(1, 2), slice(4, 11))):
        found = volume[(slice(None), *box)]
        assert found.dtype == torch.float32
        assert torch.equal(found, whole.as_tensor()[(slice(None), *box)])
    expected = FileGrid.of(whole)
    assert (volume.grid.shape, volume.grid.seen, volume.grid.axes) == (expected.shape, expected.seen, expected.axes)
    assert volume.grid.flipped == expected.flipped
    assert volume.grid.places == expected.places == (None, None, None)
    np.testing.assert_array_equal(volume.grid.affine, TURNED)


@pytest.mark.parametrize(
    "preprocessing",
    [
        VolumePreprocessing((1.0, 1.0, 1.0)),
        *(VolumePreprocessing(scales=(Scale(r),)) for r in ("percentile", "zscore")),
    ],
)
def test_what_the_whole_volume_says_is_not_done_by_boxes(case, preprocessing):
    assert read_scaled(preprocessing, case, KeptVolumes(0)) is None


def test_other_channels_are_refused(case):
    two = VolumePreprocessing.for_modality("CT", "CT")
    with pytest.raises(InputError, match="channel"):
        read_scaled(two, case, KeptVolumes(0))
