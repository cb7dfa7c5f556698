from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import Comparison, compare
from segxfer3d.statistics.components import Components, variance_components
from segxfer3d.statistics.crossed import CrossedMean
from segxfer3d.statistics.verdict import judge
from tests.statistics.simulation import NOISY_TRAININGS, study

MADE = Comparison(
    arm="encoder",
    reference="random",
    budget=5,
    difference=0.03,
    interval=(0.01, 0.05),
    p_value=0.001,
    p_holm=0.004,
    family=4,
    seed_differences=(0.03,) * 5,
    components=Components(0.0001, 0.001, 0.002),
    seeds=5,
    patients=40,
    cases=40,
    over_patients=CrossedMean(0.03, (0.01, 0.05), (0.03,) * 5),
)


def test_components_are_unbiased_and_give_the_error_of_the_mean():
    rng = np.random.default_rng(0)
    tables = [study(rng, 5, 40) for _ in range(400)]
    found = [variance_components(t.values[1] - t.values[0]) for t in tables]
    truth = 2 * np.square(NOISY_TRAININGS)
    means = np.mean([(c.seed, c.patient, c.rest) for c in found], axis=0)
    assert means == pytest.approx(truth, rel=0.1)
    spread = np.std([(t.values[1] - t.values[0]).mean() for t in tables])
    assert Components(*truth).standard_error(5, 40) == pytest.approx(spread, rel=0.1)


def test_components_of_differences_without_noise():
    seeds, patients = np.array([0, 2.0])[:, None], np.array([1.0, 2, 6])
    assert variance_components(seeds + patients) == Components(seed=2, patient=pytest.approx(7), rest=0)
    assert variance_components(np.ones((1, 9))) is None
    assert variance_components(np.ones((9, 1))) is None


def test_the_numbers_needed_are_the_fewest():
    components = Components(0.0002, 0.002, 0.004)
    for error in (0.01, 0.012, 0.03):
        patients, seeds = components.patients_for(error, 5), components.seeds_for(error, 40)
        assert components.standard_error(5, patients) <= error
        assert patients == 1 or components.standard_error(5, patients - 1) > error
        assert components.standard_error(seeds, 40) <= error
        assert seeds == 1 or components.standard_error(seeds - 1, 40) > error
    assert components.patients_for(0.005, 5) is None  # 5 seeds alone leave an error of 0.0063
    assert components.seeds_for(0.005, 40) is None


def test_better_and_worse():
    verdict = judge(MADE)
    assert verdict.kind == "better"
    assert verdict.sentence == (
        "encoder is better than random (difference +0.03, 95 % interval +0.01 to +0.05, p 0.004 after Holm for 4; "
        "5 seeds, 40 patients)"
    )
    assert (verdict.patients_needed, verdict.seeds_needed) == (None, None)
    worse = replace(MADE, difference=-0.03, interval=(-0.05, -0.01))
    assert judge(worse).kind == "worse"
    assert judge(worse, larger_is_better=False).kind == "better"
    assert judge(MADE, larger_is_better=False).kind == "worse"


def test_undecided_says_what_would_decide():
    verdict = judge(replace(MADE, difference=0.01, interval=(-0.01, 0.03), p_holm=0.3))
    assert verdict.kind == "undecided"
    assert verdict.patients_needed is None  # the seeds' part of the error stays
    assert verdict.seeds_needed is None
    verdict = judge(replace(MADE, difference=0.02, interval=(-0.01, 0.05), p_holm=0.3, patients=10, cases=10))
    assert verdict.patients_needed > 10
    assert verdict.seeds_needed is None
    assert f"about {verdict.patients_needed} patients would decide it" in verdict.sentence
    verdict = judge(replace(MADE, components=Components(0.002, 0.0001, 0.0), interval=(-0.01, 0.07), p_holm=0.3))
    assert verdict.seeds_needed > 5


def test_an_interval_without_zero_is_not_enough():
    verdict = judge(replace(MADE, p_holm=0.08))
    assert verdict.kind == "undecided"
    assert "the interval excludes 0, but the signed-rank test" in verdict.sentence
    assert judge(replace(MADE, interval=(-0.001, 0.06), p_holm=0.001)).kind == "undecided"


def test_equivalent_within_a_margin():
    close = replace(MADE, difference=0.002, interval=(-0.008, 0.012), p_holm=0.6)
    assert judge(close).kind == "undecided"
    assert judge(close, margin=0.012).kind == "undecided"  # the interval must lie inside
    verdict = judge(close, margin=0.02)
    assert verdict.kind == "equivalent"
    assert "equivalent to random within 0.02 (" in verdict.sentence
    verdict = judge(MADE, margin=0.06)
    assert verdict.kind == "equivalent"
    assert "though a difference smaller than that is there" in verdict.sentence
    for margin in (0, -1, float("nan")):
        with pytest.raises(InputError, match="margin"):
            judge(MADE, margin)


def test_a_margin_lowers_the_numbers_needed_where_the_difference_is_small():
    small = replace(MADE, difference=0.001, interval=(-0.03, 0.032), p_holm=0.9, components=Components(0, 0.005, 0.01))
    without, within = judge(small), judge(small, margin=0.03)
    assert within.kind == without.kind == "undecided"
    assert within.patients_needed < without.patients_needed


def test_no_verdict_from_few_seeds_or_patients():
    verdict = judge(replace(MADE, seeds=4), margin=1)
    assert verdict.kind == "no verdict"
    assert verdict.sentence == "no verdict on encoder against random: 4 seeds, at least 5 needed"
    assert verdict.patients_needed is None
    assert verdict.seeds_needed >= 5
    verdict = judge(replace(MADE, patients=5), margin=1)
    assert (verdict.kind, verdict.seeds_needed) == ("no verdict", None)
    assert verdict.patients_needed >= 8  # 7 patients reach p 0.016, too much for 4 tests
    assert "5 patients, at least 6 needed" in verdict.sentence
    single = compare(study(np.random.default_rng(0), 1, 8))[0]
    assert judge(single).kind == "no verdict"


def kinds(studies, seeds, effect, margin=None, resamples=300):
    rng = np.random.default_rng(1)
    return [
        judge(compare(study(rng, seeds, 40, effect=effect), resamples=resamples)[0], margin).kind
        for _ in range(studies)
    ]


def test_a_clear_effect_is_found_and_its_absence_is_not():
    assert kinds(40, 5, 0.15).count("better") >= 39
    assert kinds(40, 5, -0.15).count("worse") >= 39
    assert kinds(40, 10, 0.0, margin=0.1).count("equivalent") >= 38
    assert kinds(100, 5, 0.0).count("undecided") >= 88


@pytest.mark.slow
def test_verdicts_that_are_wrong():
    assert kinds(1500, 5, 0.0, resamples=1000).count("undecided") / 1500 == pytest.approx(0.93, abs=0.02)
    assert kinds(1500, 10, 0.0, resamples=1000).count("undecided") / 1500 == pytest.approx(0.945, abs=0.02)


@pytest.mark.slow
def test_the_number_of_patients_needed_decides_four_in_five():
    spread, effect, seeds = (0.01, 0.05, 0.06), 0.03, 6
    truth = Components(*(2 * np.square(spread)))
    needed = judge(
        replace(MADE, difference=effect, interval=(-1, 1), components=truth, family=1, seeds=seeds, patients=9)
    )
    assert 60 < needed.patients_needed < 100
    rng = np.random.default_rng(3)
    found = [
        judge(compare(study(rng, seeds, needed.patients_needed, spread, effect), resamples=500)[0]).kind == "better"
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)
