"""Axes to right, anterior and up, beside MONAI's own transform."""

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from segxfer3d.data.preprocessing.orientation import to_ras
from tests.data.volumes import AFFINE, ct

SIGNED = [
    np.block([[np.eye(3)[list(axes)] * signs, np.zeros((3, 1))], [np.zeros(3), 1]])
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("affine", [*SIGNED, AFFINE])
def test_as_monai_does_it(affine, order):
    array = np.asarray(ct(), order=order)
    expected = Orientation("RAS", labels=None)(MetaTensor(torch.from_numpy(array)[None], torch.from_numpy(affine)))
    turned = to_ras(array, affine)
    assert turned.is_contiguous()
    assert turned.dtype == torch.float32
    assert torch.equal(turned, expected[0].as_tensor().float())


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">i2", np.uint32, np.float32, np.float64])
def test_types(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    assert torch.equal(to_ras(array, np.diag([-1.0, 1, 1, 1])), torch.from_numpy(array[::-1].astype(np.float32)))


def test_voxels_are_changed_and_the_array_is_not():
    array = ct()
    changed = to_ras(array, np.eye(4), lambda voxels: voxels.mul_(2))
    np.testing.assert_array_equal(changed.numpy(), ct() * 2)
    np.testing.assert_array_equal(array, ct())
    same = np.asfortranarray(ct().astype(np.float32))
    to_ras(same, np.eye(4), lambda voxels: voxels.mul_(2))
    np.testing.assert_array_equal(same, ct())
