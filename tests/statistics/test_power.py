import numpy as np
import pytest
from scipy import special

from segxfer3d.statistics.compare import compare, corrected
from segxfer3d.statistics.components import Components, MeanSquares, mean_squares
from segxfer3d.statistics.crossed import errors_of, half_width, inflations
from segxfer3d.statistics.power import needed, power, suffices
from segxfer3d.statistics.verdict import judge
from tests.statistics.simulation import study

SPREAD = (0.02, 0.05, 0.06)  # of one arm; a difference has twice the variance


@pytest.mark.parametrize(("seeds", "patients", "effect"), [(5, 40, 0.04), (8, 40, 0.04), (5, 20, 0.06)])
def test_power_is_the_share_of_studies_that_find_it(seeds, patients, effect):
    rng = np.random.default_rng(seeds)
    found = [
        judge(corrected(compare(study(rng, seeds, patients, SPREAD, effect)))[0], 0.001).kind == "better"
        for _ in range(200)
    ]
    components = Components(*(2 * np.square(SPREAD)))
    expected = power(components, seeds=seeds, patients=patients, effect=effect)
    assert np.mean(found) == pytest.approx(expected, abs=0.09)


@pytest.mark.parametrize(
    ("seeds", "patients", "effect"), [(2, 20, 20), (2, 6, 30), (3, 20, 20), (3, 20, 8), (5, 20, 5)]
)
def test_power_is_what_a_finer_and_slower_search_says(seeds, patients, effect):
    of = Components(9.0, 25.0, 64.0)
    seed, of_seed = inflations(seeds - 1, 40)
    patient, of_patient = inflations(patients - 1, 8)
    error, found = of.standard_error(seeds, patients), 0.0
    for one, weight in zip(seed, of_seed, strict=True):
        for other, share in zip(patient, of_patient, strict=True):
            drawn = (of.rest + patients * of.seed) / one, (of.rest + seeds * of.patient) / other, of.rest
            half = half_width(*errors_of(MeanSquares(*drawn, seeds, patients)))
            found += weight * share * (special.ndtr((effect - half) / error) + special.ndtr((-effect - half) / error))
    assert power(of, seeds=seeds, patients=patients, effect=effect) == pytest.approx(found, abs=0.015)


def test_power_grows_with_what_is_known_and_falls_with_the_family():
    components = Components(9.0, 25.0, 64.0)
    base = power(components, seeds=5, patients=40, effect=5)
    assert 0.05 < base < 1
    assert power(components, seeds=10, patients=40, effect=5) > base
    assert power(components, seeds=5, patients=80, effect=5) > base
    assert power(components, seeds=5, patients=40, effect=8) > base
    assert power(components, seeds=5, patients=40, effect=5, family=4) < base
    assert power(components, seeds=5, patients=40, effect=0) == pytest.approx(
        0.045, abs=0.01
    )  # the test is a little careful
    assert power(Components(0, 0, 0), seeds=2, patients=2, effect=1) == 1


@pytest.mark.slow
def test_what_is_needed_is_a_range_that_mostly_holds_the_truth():
    truth, effect, patients = Components(9.0, 25.0, 64.0), 8.0, 40
    enough = next(n for n in range(2, 60) if power(truth, seeds=n, patients=patients, effect=effect) >= 0.8)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        table = 3 * rng.standard_normal((4, 1)) + 5 * rng.standard_normal((1, patients))
        squares = mean_squares(table + 8 * rng.standard_normal((4, patients)))
        low, high = needed(squares, effect=effect, family=1, least=(3, 6)).get("seeds", (3, 4))
        held += low <= enough and (high is None or enough <= high)
    assert held >= 42


def test_nothing_is_named_that_no_number_would_do():
    seeds_alone = MeanSquares(seed=4000.0, patient=50.0, rest=50.0, seeds=5, patients=40)
    assert "patients" not in needed(seeds_alone, effect=1.0, family=1, least=(3, 6))
    low, high = needed(seeds_alone, effect=10.0, family=1, least=(3, 6))["seeds"]
    assert 5 < low < high


def test_nothing_is_named_where_so_many_are_there_already():
    steady = MeanSquares(seed=1.0, patient=1.0, rest=1.0, seeds=5, patients=40)
    assert needed(steady, effect=5.0, family=1, least=(3, 6)) == {}
    assert suffices(steady, effect=5.0, family=1)
    assert not suffices(steady, effect=0.1, family=1)
