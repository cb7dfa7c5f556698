"""What training has seen of spacings and values, and what is far from it."""

import numpy as np
import pytest

from segxfer3d.data.seen import is_far_range, is_far_spacing, seen, spacing_of, together, values_of

TRAINED = {"spacing": [[0.8, 0.8, 2.0], [1.0, 1.0, 3.0], [1.0, 1.0, 5.0]], "values": [-1000.0, 900.0]}


def test_spacing_is_of_the_patient_not_of_the_file():
    turned = np.array([[0, 0, 2.5, 0], [-0.7, 0, 0, 0], [0, 3.0, 0, 0], [0, 0, 0, 1]])
    assert spacing_of(turned) == (2.5, 0.7, 3.0)
    assert spacing_of(np.diag([-1.0, -1.5, 4.0, 1.0])) == (1.0, 1.5, 4.0)


def test_values_are_percentiles():
    low, high = values_of(np.arange(17_000.0))
    assert low == pytest.approx(85, abs=20)
    assert high == pytest.approx(16_915, abs=20)


def test_what_was_seen():
    found = seen([(1.0, 1.0, 3.0), (0.8, 0.9, 5.0), (1.0, 1.0, 2.0)], [(-1000.0, 400.0), (-900.0, 900.0), (0.0, 1.0)])
    assert found == {"spacing": [[0.8, 0.9, 2.0], [1.0, 1.0, 3.0], [1.0, 1.0, 5.0]], "values": [-1000.0, 900.0]}
    assert seen([], []) == {}
    assert together([found, {}]) == {}


@pytest.mark.parametrize(
    ("spacing", "far"),
    [
        ((1.0, 1.0, 3.0), False),
        ((1.5, 1.5, 7.5), False),  # just as far as allowed
        ((1.6, 1.0, 3.0), True),
        ((1.0, 1.0, 7.6), True),
        ((0.5, 1.0, 3.0), True),
        ((3.0, 3.0, 3.0), True),
    ],
)
def test_far_spacings(spacing, far):
    assert is_far_spacing(spacing, TRAINED) is far


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ((-1000.0, 900.0), False),
        ((-3024.0, 500.0), False),  # padding, which is clipped
        ((-200.0, 300.0), False),
        ((0.0, 3000.0), True),
        ((-1000.0, 3000.0), True),
        ((5000.0, 5000.0), True),
        ((0.0, 0.0), False),
    ],
)
def test_far_ranges(values, far):
    assert is_far_range(values, TRAINED, -1000.0) is far
