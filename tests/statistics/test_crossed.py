"""The interval and the p-value of a mean over seeds and patients."""

import numpy as np
import pytest
from scipy import stats

from segxfer3d.statistics.components import Components, mean_squares
from segxfer3d.statistics.crossed import crossed_mean, errors_of, half_width, tail


def crossed(rng, seeds, patients, spread, mean=0.0):
    of_seed, of_patient, rest = spread
    return (
        mean
        + of_seed * rng.standard_normal((seeds, 1))
        + of_patient * rng.standard_normal((1, patients))
        + rest * rng.standard_normal((seeds, patients))
    )


def test_components_are_unbiased_and_give_the_error_of_the_mean():
    rng = np.random.default_rng(0)
    tables = [crossed(rng, 5, 40, (3, 5, 6)) for _ in range(600)]
    found = [mean_squares(t).components() for t in tables]
    assert np.mean([(c.seed, c.patient, c.rest) for c in found], axis=0) == pytest.approx([9, 25, 36], rel=0.1)
    spread = np.std([t.mean() for t in tables])
    assert Components(9, 25, 36).standard_error(5, 40) == pytest.approx(spread, rel=0.1)


def test_components_of_differences_without_noise():
    seeds, patients = np.array([0, 2.0])[:, None], np.array([1.0, 2, 6])
    assert mean_squares(seeds + patients).components() == Components(seed=2, patient=pytest.approx(7), rest=0)
    assert mean_squares(np.ones((1, 9))) is None
    assert mean_squares(np.ones((9, 1))) is None


@pytest.mark.parametrize(("shape", "axis"), [((5, 30), 0), ((30, 6), 1)])
def test_where_one_factor_rules_it_is_the_t_test(shape, axis):
    rng = np.random.default_rng(3)
    of_factor = rng.normal(1, 2, shape[axis])
    table = np.tile(of_factor[:, None] if axis == 0 else of_factor[None], (1, shape[1]) if axis == 0 else (shape[0], 1))
    expected = stats.ttest_1samp(of_factor, 0)
    found = crossed_mean(table)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.01)
    assert found.interval == pytest.approx(expected.confidence_interval(), rel=0.005)


def test_interval_and_p_value_are_of_one_distribution():
    rng = np.random.default_rng(1)
    for seeds, patients in ((2, 20), (3, 9), (5, 65), (10, 20)):
        found = crossed_mean(crossed(rng, seeds, patients, (3, 5, 8), mean=2))
        low, high = found.interval
        half = half_width(*errors_of(found.squares))
        assert (low, high) == pytest.approx((found.difference - half, found.difference + half))
        assert tail(half, *errors_of(found.squares)) == pytest.approx(0.05, rel=1e-4)
        assert (found.p_value < 0.05) == (low > 0 or high < 0)
        assert crossed_mean(np.full((seeds, patients), 1.0)).p_value == 0


def test_the_generalized_pivot_equals_its_simulation():
    squares = mean_squares(crossed(np.random.default_rng(2), 4, 25, (4, 5, 8)))
    rng = np.random.default_rng(0)
    draws = 400_000
    variance = squares.seed * 3 / rng.chisquare(3, draws) + squares.patient * 24 / rng.chisquare(24, draws)
    error = np.sqrt(np.maximum(variance - squares.rest, squares.rest) / 100)
    for distance in (1.0, 4.0, 9.0):
        assert tail(distance, *errors_of(squares)) == pytest.approx(
            np.mean(np.abs(rng.standard_normal(draws)) * error > distance), abs=0.002
        )


def test_where_seeds_and_patients_look_alike_the_rest_is_left():
    rest = np.random.default_rng(0).normal(0, 5, (4, 30))
    table = rest - rest.mean(0) - rest.mean(1, keepdims=True) + rest.mean()
    low, high = crossed_mean(table + 1).interval
    error = mean_squares(table).rest ** 0.5 / 120**0.5
    assert (low, high) == pytest.approx((1 - 1.96 * error, 1 + 1.96 * error), rel=0.01)


def test_what_does_not_vary():
    assert crossed_mean(np.ones((1, 20))).interval is None
    assert crossed_mean(np.ones((1, 20))).p_value is None
    assert crossed_mean(np.full((3, 4), 2.0)).interval == (2.0, 2.0)
    same = crossed_mean(np.zeros((3, 4)))
    assert (same.interval, same.p_value) == ((0.0, 0.0), 1.0)
    assert same.by_seed == (0, 0, 0)


def test_the_interval_scales_with_the_scores_and_its_confidence():
    table = crossed(np.random.default_rng(5), 5, 20, (3, 5, 8), mean=1)
    points, share = crossed_mean(table), crossed_mean(table / 100)
    assert share.interval == pytest.approx([each / 100 for each in points.interval])
    assert share.p_value == pytest.approx(points.p_value)
    narrow = crossed_mean(table, confidence=0.5).interval
    assert points.interval[0] < narrow[0] < points.difference < narrow[1] < points.interval[1]
    assert tail(narrow[1] - points.difference, *errors_of(points.squares)) == pytest.approx(0.5, rel=1e-4)
