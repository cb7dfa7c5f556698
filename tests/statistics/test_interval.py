import pytest
from scipy import stats

from segxfer3d.statistics.interval import t_interval


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_equals_scipy(confidence):
    values = [10.0, 12.0, 9.0, 30.0]
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert t_interval(values, confidence) == pytest.approx(expected)


def test_one_value_has_none():
    assert t_interval([3.0]) is None
    assert t_interval([3.0, 3.0]) == (3.0, 3.0)


def test_intervals_are_of_95_percent():
    assert t_interval([1.0, 2.0, 3.0, 4.0]) == pytest.approx((0.445739743, 4.554260257))  # 2.5 -+ 3.182446 x 0.645497
