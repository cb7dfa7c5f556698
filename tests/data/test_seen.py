"""What training has seen of spacings and values, and what is far from it."""

import numpy as np
import pytest

from segxfer3d.data.seen import (
    is_far_range,
    is_far_spacing,
    look_at,
    noted,
    seen,
    spacing_of,
    together,
    values_of,
    values_seen,
)

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
    values = [[(-1000.0, 400.0)], [(-900.0, 900.0)], [(0.0, 1.0)]]
    found = seen([(1.0, 1.0, 3.0), (0.8, 0.9, 5.0), (1.0, 1.0, 2.0)], values)
    assert found == {"spacing": [[0.8, 0.9, 2.0], [1.0, 1.0, 3.0], [1.0, 1.0, 5.0]], "values": [-1000.0, 900.0]}
    assert seen([], []) == {}
    assert together([found, {}]) == {}


def test_each_channel_has_values_of_its_own():
    mr, pet = np.linspace(0.0, 100.0, 50_000), np.linspace(0.0, 8.0, 50_000)
    looks = [look_at([mr, pet], np.eye(4)), look_at([2 * mr, pet / 2], np.eye(4))]
    known = noted(looks)["seen"]
    assert known["values"] == pytest.approx([0.5, 199.0], abs=0.1)
    assert known["further_values"] == [pytest.approx([0.02, 7.96], abs=0.01)]
    other = noted([look_at([mr, 3 * pet], np.eye(4))])["seen"]
    assert together([known, other])["further_values"] == [pytest.approx([0.02, 23.88], abs=0.01)]
    assert values_seen(together([known, other])) == [
        pytest.approx((0.5, 199.0), abs=0.1),
        pytest.approx((0.02, 23.88), abs=0.01),
    ]
    earlier = {name: value for name, value in other.items() if name != "further_values"}
    assert len(values_seen(together([known, earlier]))) == 1  # which noted the first channel alone


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
    assert is_far_range(values, (-1000.0, 900.0), -1000.0) is far
