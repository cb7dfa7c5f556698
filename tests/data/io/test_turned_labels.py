"""A label on another orientation of its image's grid is turned, exactly; on any other grid it is refused as ever."""

import itertools

import nibabel
import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.io.turned_labels import TURNED, on_grid_of
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, write_nifti

TURNS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def turned(array, affine, axes, ways):
    """The same voxels in another order, by nibabel."""
    image = nibabel.Nifti1Image(array, affine)
    return image.as_reoriented(np.stack([axes, ways], 1))


@pytest.mark.parametrize(("axes", "ways"), TURNS)
def test_all_48_orientations(axes, ways):
    values = np.arange(9 * 8 * 7, dtype=np.int16).reshape(9, 8, 7)
    other = turned(values, AFFINE, axes, ways)
    found = on_grid_of(Volume(np.asarray(other.dataobj), other.affine), Volume(ct(), AFFINE))
    np.testing.assert_array_equal(found.array, values)
    np.testing.assert_array_equal(found.affine, AFFINE)


def test_the_same_grid_is_given_back():
    label = Volume(ct(), AFFINE)
    assert on_grid_of(label, Volume(ct(), AFFINE)) is label


@pytest.fixture
def case_set(tmp_path):
    def make(array, affine=AFFINE, axes=(1, 2, 0), ways=(-1, 1, -1)):
        image = write_nifti(tmp_path / "i.nii.gz", ct())
        nibabel.save(turned(array, affine, axes, ways), tmp_path / "l.nii.gz")
        return CaseSet(tmp_path, "x", 3, (Case("a", image, tmp_path / "l.nii.gz"),), modality="CT")

    return make


@pytest.mark.parametrize("preprocessing", [VolumePreprocessing(), VolumePreprocessing((1.0, 1.0, 2.0))])
def test_it_trains_and_measures_as_the_label_of_the_image_s_own_grid(case_set, preprocessing, tmp_path):
    inside = (ct() > 0).astype(np.uint8)
    found = case_set(inside)
    assert check(found, progress=False).read_notes == {"a": TURNED}
    (held,) = preprocessing.hold(found.cases, found, labels=True, progress=False)
    item = preprocessing.read(found.cases[0], found, label=True)
    write_nifti(tmp_path / "l.nii.gz", inside)
    (plain,) = preprocessing.hold(found.cases, found, labels=True, progress=False)
    np.testing.assert_array_equal(held["label"].numpy(), plain["label"].numpy())
    np.testing.assert_array_equal(item["label"].mask(0), inside)


@pytest.mark.parametrize(
    "shift", [np.eye(4) + np.eye(4, k=3) * 0.5, np.diag([1.1, 1, 1, 1]), np.eye(4) + np.eye(4, k=1) * 0.1]
)
def test_any_other_grid_is_refused_as_ever(case_set, shift):
    found = case_set((ct() > 0).astype(np.uint8), AFFINE @ shift)
    with pytest.raises(InputError, match=r"l\.nii\.gz: the label's (shape|affine)"):
        check(found, progress=False)


def test_a_mirror_image_in_place_is_another_grid(case_set):
    """The same shape and the same corner, but the voxels run the other way."""
    found = case_set((ct() > 0).astype(np.uint8), AFFINE @ np.diag([-1.0, 1, 1, 1]), (0, 1, 2), (1, 1, 1))
    with pytest.raises(InputError, match=r"l\.nii\.gz: the label's affine"):
        check(found, progress=False)
