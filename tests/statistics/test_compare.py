import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import compare, holm, signed_rank
from segxfer3d.statistics.pairs import NamedStart, planned_pairs
from tests.statistics.simulation import STEADY_TRAININGS, study, table

ARMS = ("random", "encoder", "encoder+decoder", "frozen-encoder")


def false_positives(studies, spread, p_value):
    rng = np.random.default_rng(11)
    return np.mean([p_value(study(rng, 10, 40, spread)) <= 0.05 for _ in range(studies)])


def of_patients(made):
    means = made.patient_means()
    return signed_rank((means[1] - means[0]).mean(0))


def of_rows(made):
    return signed_rank((made.values[1] - made.values[0]).ravel())


@pytest.mark.parametrize("seed", range(4))
def test_holm_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    p_values = (rng.random(rng.integers(1, 9)) ** 3).tolist()
    if seed % 2:
        p_values.append(p_values[0])
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("n", [6, 25, 80])
def test_signed_rank_equals_scipy(n):
    differences = np.random.default_rng(n).standard_normal(n)
    assert signed_rank(differences) == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_signed_rank_of_few_or_equal_differences():
    assert signed_rank(np.zeros(9)) == 1
    assert signed_rank(np.full(5, 1e-15)) == 1
    assert signed_rank(np.array([0.1])) == 1
    assert signed_rank(np.arange(1.0, 6)) == pytest.approx(2 / 2**5)  # the least that five patients can give
    assert signed_rank(np.arange(1.0, 7)) == pytest.approx(2 / 2**6)


def test_each_patient_is_one_observation():
    made = study(np.random.default_rng(2), 5, 15, effect=0.02)
    thrice = table(np.repeat(made.values, 3, axis=2), cases=3)
    one, three = compare(made, resamples=500)[0], compare(thrice, resamples=500)[0]
    assert (one.patients, one.cases) == (15, 15)
    assert (three.patients, three.cases) == (15, 45)
    assert three.p_value == one.p_value
    assert three.interval == pytest.approx(one.interval)
    differences = (made.values[1] - made.values[0]).mean(0)
    assert one.p_value == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_every_case_weighs_the_same_in_the_difference():
    values = np.zeros((2, 5, 4))
    values[1] = [0.1, 0.2, 0.3, 0.8]
    made = table(values)
    made = type(made)(**{**vars(made), "patients": ("a", "a", "a", "b")})
    comparison = compare(made, resamples=10)[0]
    assert comparison.difference == pytest.approx(0.35)
    assert comparison.seed_differences == pytest.approx([0.35] * 5)


def test_arms_are_paired_with_random_and_the_encoder_with_both_parts():
    made = study(np.random.default_rng(0), 5, 20, arms=ARMS)
    comparisons = compare(made, resamples=500)
    pairs = [(c.arm, c.reference) for c in comparisons]
    assert pairs == [(arm, "random") for arm in ARMS[1:]] + [("encoder", "encoder+decoder")]
    assert planned_pairs([NamedStart("random"), NamedStart("encoder")]) == [("encoder", "random")]
    corrected = multipletests([c.p_value for c in comparisons], method="holm")[1]
    assert [c.p_holm for c in comparisons] == pytest.approx(corrected)
    assert {c.family for c in comparisons} == {4}
    for c in comparisons:
        expected = made.values[made.index(c.arm)].mean() - made.values[made.index(c.reference)].mean()
        assert c.difference == pytest.approx(expected)
        assert c.interval[0] < c.difference < c.interval[1]


def test_pairs_can_be_named():
    made = study(np.random.default_rng(0), 5, 20, arms=ARMS)
    [comparison] = compare(made, [("frozen-encoder", "encoder")], resamples=100)
    assert (comparison.arm, comparison.reference, comparison.family) == ("frozen-encoder", "encoder", 1)
    assert comparison.p_holm == comparison.p_value


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("encoder", "whole")], "unknown arm 'whole'"),
        ([("encoder", "encoder")], "different arms"),
        ([], "expected different pairs"),
        ([("encoder", "random"), ("encoder", "random")], "expected different pairs"),
    ],
)
def test_bad_pairs_are_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        compare(study(np.random.default_rng(0), 5, 8), pairs)


def test_without_random_the_pairs_must_be_named():
    made = study(np.random.default_rng(0), 5, 8, arms=("a", "b"))
    with pytest.raises(InputError, match="unknown arm 'random'"):
        compare(made)
    assert compare(made, [("a", "b")], resamples=10)[0].reference == "b"


def test_false_positives_of_the_signed_rank_test():
    assert 0.02 <= false_positives(300, STEADY_TRAININGS, of_patients) <= 0.09
    assert false_positives(100, STEADY_TRAININGS, of_rows) > 0.2  # seeds and cases pooled as rows


@pytest.mark.slow
def test_false_positives_with_many_studies():
    assert false_positives(4000, STEADY_TRAININGS, of_patients) == pytest.approx(0.055, abs=0.01)
    # the test sees these trainings only: where others would differ, the interval has to say so
    assert false_positives(2000, (0.03, 0.05, 0.06), of_patients) > 0.12
