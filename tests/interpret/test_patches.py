"""Patches of volumes on which networks are compared."""

from collections import Counter

import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.interpret.patches import choose_cases, volume_patches
from tests.data.volumes import write_nifti


@pytest.fixture
def cases(tmp_path):
    """Every volume has one value: case i is -1000 + 100 i HU, so 0.05 i in the window."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    arrays = [np.full((12, 10, 8), -1000 + 100 * i, np.int16) for i in range(1, 4)]
    return [Case(f"c{i}", write_nifti(tmp_path / f"{i}.nii.gz", a, affine)) for i, a in enumerate(arrays, 1)]


def test_every_case_gives_as_many_in_a_random_order(cases):
    patches = volume_patches(cases, VolumePreprocessing(), (4, 4, 4), 12, seed=0)
    assert patches.shape == (12, 1, 4, 4, 4)
    values = [round(float(p.mean()), 4) for p in patches]
    assert Counter(values) == {0.05: 4, 0.1: 4, 0.15: 4}
    assert values != sorted(values)
    assert torch.equal(patches, volume_patches(cases, VolumePreprocessing(), (4, 4, 4), 12, seed=0))
    assert not torch.equal(patches, volume_patches(cases, VolumePreprocessing(), (4, 4, 4), 12, seed=1))


def test_small_volumes_lie_in_zeros(cases):
    patches = volume_patches(cases[:1], VolumePreprocessing(), (16, 16, 16), 2, seed=0)
    assert float(patches[0].sum()) == pytest.approx(0.05 * 12 * 10 * 8, rel=1e-4)


def test_no_more_cases_than_patches(cases):
    assert choose_cases(cases, 5, 0) == cases
    assert len(choose_cases(cases, 2, 0)) == 2
    with pytest.raises(InputError, match="2 from 3 cases"):
        volume_patches(cases, VolumePreprocessing(), (4, 4, 4), 2, seed=0)
