"""Along which axes training mirrors."""

import numpy as np
import pytest

from segxfer3d.data.planning.mirroring import class_centers, mirror_axes


def test_centers_are_in_millimeters_from_the_first_voxel():
    labels = np.zeros((10, 8, 6), np.uint8)
    labels[2:5, 4, 1] = 1
    labels[9, 7, 5] = 7
    centers = class_centers(labels, [1, 3, 7], (2.0, 1.0, 0.5))
    assert centers[0].tolist() == [6.0, 4.0, 0.5]
    assert np.isnan(centers[1]).all()
    assert centers[2].tolist() == [18.0, 7.0, 2.5]


def test_an_order_that_cases_share_is_not_turned_around():
    rng = np.random.default_rng(1)
    cases = []
    for _ in range(5):
        first = rng.normal(30, 5, 3)
        second = first - [12, 0, 0] + rng.normal(0, [2, 6, 6])
        cases.append(np.array([first, second]))
    assert mirror_axes(cases) == (1, 2)


@pytest.mark.parametrize("count", [1, 2, 20])
def test_one_class_may_be_mirrored_everywhere(count):
    assert mirror_axes([np.array([[30.0, 10.0, 5.0]])] * count) == (0, 1, 2)


def test_cases_that_lack_a_class_say_nothing():
    both = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    lacking = np.array([[0.0, 0.0, 0.0], [np.nan] * 3])
    assert mirror_axes([both, lacking, both, both]) == (0, 1)
    assert mirror_axes([lacking]) == (0, 1, 2)
