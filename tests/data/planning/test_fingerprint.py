from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.planning import take_fingerprint
from segxfer3d.errors import InputError
from tests.data.volumes import ct, write_nifti


def case_set(folder, arrays, labels, affine, modality="CT"):
    cases = []
    for number, (array, label) in enumerate(zip(arrays, labels, strict=True)):
        image = write_nifti(folder / f"images/{number}.nii.gz", array, affine)
        cases.append(Case(str(number), image, write_nifti(folder / f"labels/{number}.nii.gz", label, affine)))
    return CaseSet(folder, "folder", 3, tuple(cases), {1: "a", 2: "b"}, modality=modality)


def test_axes_are_those_that_the_network_sees(tmp_path):
    # the file's first axis runs to the feet, its second to the left, its third to the front
    affine = np.array([[0, -0.5, 0, 0], [0, 0, 0.7, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    array = ct((6, 8, 10))
    cases = case_set(tmp_path, [array], [(array > 0).astype(np.uint8)], affine)
    taken = take_fingerprint(cases.cases, cases)
    assert taken.shapes == ((8, 10, 6),)
    assert taken.spacings == (pytest.approx((0.5, 0.7, 3.0)),)
    assert (taken.modality, taken.classes, taken.channels) == ("CT", 2, 1)


def test_every_case_counts_the_same_in_the_foreground(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(mean, 20, (30, 30, 10)).astype(np.int16) for mean in (0, 100)]
    labels = [np.ones((30, 30, 10), np.uint8), np.zeros((30, 30, 10), np.uint8)]
    labels[1][:10, :10] = 2  # a ninth of the voxels, half of the weight
    cases = case_set(tmp_path, arrays, labels, np.eye(4))
    inside = take_fingerprint(cases.cases, cases).foreground
    first, second = arrays[0].ravel(), arrays[1][:10, :10].ravel()
    assert inside.mean == pytest.approx((first.mean() + second.mean()) / 2, abs=0.2)
    assert inside.sd == pytest.approx(np.sqrt((first.var() + second.var()) / 2 + 50**2), rel=0.02)
    both = np.concatenate([first, np.repeat(second, 9)])
    assert inside.low == pytest.approx(np.percentile(both, 0.5), abs=2)
    assert inside.high == pytest.approx(np.percentile(both, 99.5), abs=2)


def test_zeros_around_a_volume_are_seen(tmp_path):
    array = np.zeros((10, 10, 10), np.int16)
    array[2:7, 2:6, 1:9] = 5
    array[4, 4, 4] = 0
    cases = case_set(tmp_path, [array, 0 * array], [0 * array, 0 * array], np.eye(4))
    alone = take_fingerprint(cases.cases[:1], cases)
    assert alone.nonzero_share == pytest.approx(5 * 4 * 8 / 1000)
    assert alone.foreground is None
    assert take_fingerprint(cases.cases[1:], cases).nonzero_share == 1


def test_what_cannot_be_planned_from_is_refused(tmp_path):
    cases = case_set(tmp_path, [ct()], [np.ones((9, 8, 7), np.uint8)], np.eye(4))
    with pytest.raises(InputError, match="no labeled cases"):
        take_fingerprint([], cases)
    with pytest.raises(InputError, match=r"0\.nii\.gz: no label"):
        take_fingerprint([replace(cases.cases[0], label=None)], cases)
    with pytest.raises(InputError, match="a plan is for volumes"):
        take_fingerprint(cases.cases, replace(cases, dims=2))
