import time

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import compare
from segxfer3d.statistics.describe import describe
from segxfer3d.statistics.interval import bootstrap_means, percentile_interval, resample_counts
from tests.statistics.simulation import NOISY_TRAININGS, STEADY_TRAININGS, study, table


def coverage(seeds, studies, resamples, spread=NOISY_TRAININGS):
    """Share of studies whose interval of the difference holds the truth."""
    held = 0
    for i in range(studies):
        rng = np.random.default_rng([seeds, i])
        effect = rng.uniform(-0.1, 0.1)
        drawn = bootstrap_means(study(rng, seeds, 40, spread, effect), resamples, seed=i)
        low, high = percentile_interval(drawn[:, 1] - drawn[:, 0])
        held += low <= effect <= high
    return held / studies


def coverage_of_cases_alone(seeds, studies, resamples):
    held = 0
    for i in range(studies):
        rng = np.random.default_rng([seeds, i])
        values = study(rng, seeds, 40).values
        differences = (values[1] - values[0]).mean(0)
        low, high = percentile_interval(resample_counts(rng, resamples, 40) @ differences / 40)
        held += low <= 0 <= high
    return held / studies


@pytest.mark.parametrize("cases", [1, 3])
def test_equals_a_loop_that_draws_patients_with_all_their_cases(cases):
    rng = np.random.default_rng(0)
    made = table(rng.random((3, 4, 5 * cases)), ("a", "b", "c"), cases)
    made = type(made)(**{**vars(made), "patients": ("p000", *made.patients[1:-1], "p000")})  # of different sizes
    names = sorted(set(made.patients))
    rng = np.random.default_rng(7)
    patients, seeds = rng.integers(len(names), size=(20, len(names))), rng.integers(4, size=(20, 4))
    expected = []
    for b in range(20):
        drawn = [c for p in patients[b] for c in range(len(made.cases)) if made.patients[c] == names[p]]
        expected.append([np.mean([made.values[a, s, c] for s in seeds[b] for c in drawn]) for a in range(3)])
    assert np.allclose(bootstrap_means(made, 20, seed=7), expected)


def test_the_same_seed_gives_the_same_draws_for_every_arm():
    made = study(np.random.default_rng(0), 5, 10)
    drawn = bootstrap_means(made, 1500, seed=1)
    assert np.array_equal(drawn, bootstrap_means(made, 1500, seed=1))
    assert not np.array_equal(drawn, bootstrap_means(made, 1500, seed=2))
    shifted = table(np.stack([made.values[0], made.values[0] + 0.25]))
    drawn = bootstrap_means(shifted, 1500, seed=1)
    assert np.allclose(drawn[:, 1] - drawn[:, 0], 0.25)
    with pytest.raises(InputError, match="resamples"):
        bootstrap_means(made, 0)


def test_more_cases_of_the_same_patients_are_no_more_evidence():
    once = study(np.random.default_rng(3), 5, 20)
    thrice = table(np.repeat(once.values, 3, axis=2), cases=3)
    assert np.allclose(bootstrap_means(once, 200), bootstrap_means(thrice, 200))


def test_is_fast():
    made = study(np.random.default_rng(0), 10, 100, arms=("random", *"abcde"))
    started = time.process_time()
    assert bootstrap_means(made, 5000).shape == (5000, 6)
    assert time.process_time() - started < 1


def test_intervals_of_five_and_ten_seeds_hold_the_truth_about_as_often_as_they_say():
    assert coverage(5, 300, 300) == pytest.approx(0.92, abs=0.035)
    assert coverage(10, 300, 300) == pytest.approx(0.95, abs=0.03)


def test_resampling_cases_alone_holds_it_far_less_often():
    assert coverage_of_cases_alone(5, 300, 300) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "both", "cases"), [(3, 0.87, 0.65), (5, 0.92, 0.70), (10, 0.95, 0.81)])
def test_coverage_with_many_studies(seeds, both, cases):
    assert coverage(seeds, 3000, 1000) == pytest.approx(both, abs=0.02)
    assert coverage_of_cases_alone(seeds, 3000, 1000) == pytest.approx(cases, abs=0.03)


@pytest.mark.slow
def test_intervals_are_too_wide_rather_than_too_narrow_where_trainings_agree():
    assert 0.94 <= coverage(5, 2000, 1000, STEADY_TRAININGS) <= 0.99


def test_description_of_arms():
    made = study(np.random.default_rng(5), 5, 12, cases=2)
    for i, arm in enumerate(describe(made, 2000)):
        means = made.values[i].mean(1)
        assert (arm.arm, arm.budget) == (made.arms[i], 10)
        assert arm.seed_means == pytest.approx(means)
        assert (arm.mean, arm.std) == pytest.approx((means.mean(), means.std(ddof=1)))
        assert arm.interval[0] < arm.mean < arm.interval[1]
        assert (arm.seeds, arm.patients, arm.cases) == (5, 12, 24)


def test_one_seed_or_one_patient_has_no_interval():
    single = study(np.random.default_rng(0), 1, 8)
    assert [(arm.std, arm.interval) for arm in describe(single)] == [(None, None)] * 2
    assert compare(single)[0].interval is None
    assert describe(study(np.random.default_rng(0), 5, 1, cases=4))[0].interval is None
