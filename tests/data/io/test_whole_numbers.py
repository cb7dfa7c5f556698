"""Labels of volumes that are stored as fractions: what lies beside a whole number by rounding is that number."""

import nibabel
import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.io.volumes import read_label
from segxfer3d.data.io.whole_numbers import rounded_if_close, whole_numbers
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError


def volumes(root, value):
    image = (50 * np.random.default_rng(0).standard_normal((12, 12, 12))).astype(np.float32)
    label = np.zeros(image.shape, np.float32)
    label[3:7, 3:8, 4:9] = value
    for folder, array in (("imagesTr", image), ("labelsTr", label)):
        (root / folder).mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), root / folder / "a.nii.gz")
    return find_cases(root)


@pytest.mark.parametrize("value", [0.9999999, 1.0002])
def test_labels_beside_whole_numbers_are_those(tmp_path, value):
    found = volumes(tmp_path, np.float32(value))
    report = check(found, progress=False)
    assert (report.good, report.empty_labels) == (found.cases, [])
    assert sorted(np.unique(read_label(found.cases[0].label).array)) == [0, 1]
    preprocessing = VolumePreprocessing.for_modality("CT")
    held = preprocessing.hold(found.cases, found, labels=True, progress=False)[0]
    whole = preprocessing.read(found.cases[0], found, label=True)
    assert int(held["label"].sum()) == int(whole["label"].mask(0).sum()) == 100


def test_others_are_refused_with_their_value(tmp_path):
    with pytest.raises(InputError, match=r"a\.nii\.gz: label values 0\.99; expected 0, 1"):
        check(volumes(tmp_path, np.float32(0.99)), progress=False)


def test_what_is_whole_stays_as_it_is(tmp_path):
    whole = np.array([0, 1, 2])
    assert whole_numbers(tmp_path, whole, "values") is whole
    assert rounded_if_close(whole.astype(np.float32)) is None
    assert rounded_if_close(np.array([0.5])) is None
    assert rounded_if_close(np.array([np.nan, 1.0])) is None
    np.testing.assert_array_equal(rounded_if_close(np.array([0.9999, 2.0001])), [1, 2])
    with pytest.raises(InputError, match="values nan; expected whole numbers"):
        whole_numbers(tmp_path, np.array([np.nan, 1.0]), "values")
