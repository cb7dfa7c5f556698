import numpy as np
import pytest

from segxfer3d.statistics.components import variance_components
from segxfer3d.statistics.crossed import crossed_mean, standard_error, t_interval


def test_the_interval_is_that_of_crossed_factors():
    rng = np.random.default_rng(1)
    table = 4 + rng.normal(0, 6, (5, 1)) + rng.normal(0, 5, (1, 30)) + rng.normal(0, 8, (5, 30))
    error, degrees = standard_error(table)
    assert error == pytest.approx(variance_components(table).standard_error(5, 30))
    assert 4 < degrees < 10
    low, high = t_interval(table)
    assert low < table.mean() < high


def test_the_interval_of_what_does_not_vary():
    assert t_interval(np.ones((1, 20))) is None
    assert t_interval(np.full((3, 4), 2.0)) == (2.0, 2.0)
    rng = np.random.default_rng(0)
    same = np.tile(rng.normal(0, 5, (1, 20)), (4, 1))  # trainings that do not differ
    error, degrees = standard_error(same)
    assert degrees == pytest.approx(19)
    assert error == pytest.approx(same[0].std(ddof=1) / 20**0.5)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        table = rng.normal(0, 6, (5, 1)) + rng.normal(0, 5, (1, 20)) + rng.normal(0, 8, (5, 20))
        low, high = t_interval(table)
        held += low <= 0 <= high
    assert 0.91 <= held / 400 <= 0.99


def test_the_mean_is_over_patients_seed_by_seed():
    found = crossed_mean(np.array([[1.0, 3.0], [2.0, 6.0]]))
    assert (found.difference, found.by_seed) == (3.0, (2.0, 4.0))
    assert found.interval == t_interval(np.array([[1.0, 3.0], [2.0, 6.0]]))
    assert crossed_mean(np.array([[1.0, 3.0]])).interval is None
