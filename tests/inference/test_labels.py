"""Which class a voxel gets."""

import doctest
import math

import numpy as np
import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.inference import labels
from segxfer3d.inference.labels import class_index, index_to_values, to_label_map


def test_label_map_takes_the_most_probable_class():
    probabilities = torch.tensor([[0.4, 0.6, 0.6, 0.5], [0.45, 0.2, 0.7, 0.1]]).view(2, 4, 1, 1)
    label_map = to_label_map(probabilities, [3, 7])
    assert label_map.ravel().tolist() == [0, 3, 7, 3]
    assert label_map.dtype == np.uint8
    image = to_label_map(probabilities[..., 0], [3, 700])
    assert image.dtype == np.uint16
    assert image.ravel().tolist() == [0, 3, 700, 3]
    with pytest.raises(InputError, match="2 channels of probabilities for 1 classes"):
        to_label_map(probabilities, [3])


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 7)])
def test_class_index_equals_a_loop_over_voxels(classes, shape):
    """Probabilities on a grid of 0.05: many voxels are exactly at the threshold, or equal in two classes."""
    probabilities = torch.tensor(np.random.default_rng(1).integers(0, 21, (classes, *shape)) / 20).float()
    index = class_index(probabilities).numpy()
    assert index.dtype == np.uint8
    for voxel in np.ndindex(*shape):
        values = [float(channel[voxel]) for channel in probabilities]
        assert index[voxel] == (values.index(max(values)) + 1 if max(values) >= 0.5 else 0)


@pytest.mark.parametrize("shape", [(5, 4, 3), (6, 7)])
def test_softmax_takes_the_background_where_it_is_likeliest(shape):
    shares = np.random.default_rng(1).integers(1, 4, (4, *shape)) / 16  # many voxels are equal in several
    probabilities = torch.tensor(shares / shares.sum(0)).float()
    index = class_index(probabilities[1:], "softmax").numpy()
    assert index.dtype == np.uint8
    assert (index == 0).any()
    assert ((index > 0) & (probabilities[1:].amax(0) < 0.5).numpy()).any()
    for voxel in np.ndindex(*shape):
        found, highest = 0, 1 - float(probabilities[1:][(slice(None), *voxel)].sum())
        for k in range(1, 4):
            if float(probabilities[(k, *voxel)]) > highest + 1e-6:
                found, highest = k, float(probabilities[(k, *voxel)])
        assert float(probabilities[(index[voxel], *voxel)]) == pytest.approx(highest)
        if abs(float(probabilities[(0, *voxel)]) - highest) > 1e-6:
            assert index[voxel] == found


@pytest.mark.parametrize("value", [math.nan, 1.5, -2.0])
def test_values_that_are_no_probabilities_are_refused(value):
    with pytest.raises(InputError, match=r"probabilities: values from .*\[0, 1\]"):
        class_index(torch.full((1, 2, 2), value))
    with pytest.raises(InputError, match=r"\(K, \*spatial\)"):
        class_index(torch.zeros(0, 2, 2, 2))


def test_examples_in_the_docstrings_run():
    outcome = doctest.testmod(labels, extraglobs={"torch": torch})
    assert outcome.attempted == 1
    assert outcome.failed == 0


@pytest.mark.parametrize(("values", "kind"), [([1, 2, 3], np.uint8), ([3, 1, 300], np.uint16), ([-1, 2, 5], np.int8)])
def test_label_values_of_an_index(values, kind):
    index = torch.randint(0, 4, (5, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = index_to_values(index, values)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, np.array([0, *values])[index.numpy()])
