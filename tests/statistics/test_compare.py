from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import compare, corrected, holm
from segxfer3d.statistics.crossed import crossed_mean
from segxfer3d.statistics.pairs import NamedStart, planned_pairs
from segxfer3d.statistics.verdict import judge
from tests.statistics.simulation import study, table

ARMS = ("random", "encoder", "encoder+decoder", "frozen-encoder")


@pytest.mark.parametrize("seed", range(4))
def test_holm_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    p_values = (rng.random(rng.integers(1, 9)) ** 3).tolist()
    if seed % 2:
        p_values.append(p_values[0])
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_each_patient_is_one_observation():
    made = study(np.random.default_rng(2), 5, 15, effect=0.02)
    thrice = table(np.repeat(made.values, 3, axis=2), cases=3)
    one, three = compare(made)[0], compare(thrice)[0]
    assert (one.patients, one.cases) == (15, 15)
    assert (three.patients, three.cases) == (15, 45)
    assert three.p_value == pytest.approx(one.p_value)
    assert three.interval == pytest.approx(one.interval)
    expected = crossed_mean(made.values[1] - made.values[0])
    assert (one.p_value, one.interval, one.difference) == (expected.p_value, expected.interval, expected.difference)


def test_every_patient_weighs_the_same_in_the_difference():
    values = np.zeros((2, 5, 4))
    values[1] = [0.1, 0.2, 0.3, 0.8]
    made = table(values)
    made = type(made)(**{**vars(made), "patients": ("a", "a", "a", "b")})
    comparison = compare(made)[0]
    assert comparison.difference == pytest.approx((0.2 + 0.8) / 2)
    assert comparison.seed_differences == pytest.approx([0.5] * 5)


def test_arms_are_paired_with_random_and_the_encoder_with_both_parts():
    made = study(np.random.default_rng(0), 5, 20, arms=ARMS)
    comparisons = compare(made)
    pairs = [(c.arm, c.reference) for c in comparisons]
    assert pairs == [(arm, "random") for arm in ARMS[1:]] + [("encoder", "encoder+decoder")]
    assert planned_pairs([NamedStart("random"), NamedStart("encoder")]) == [("encoder", "random")]
    assert [(c.p_holm, c.family) for c in comparisons] == [(c.p_value, 1) for c in comparisons]
    for c in comparisons:
        expected = made.values[made.index(c.arm)].mean() - made.values[made.index(c.reference)].mean()
        assert c.difference == pytest.approx(expected)
        assert c.interval[0] < c.difference < c.interval[1]


def test_all_comparisons_of_a_study_are_one_family():
    budgets = [study(np.random.default_rng(k), 5, 20, arms=ARMS, effect=0.05 * k) for k in range(2)]
    single = compare(study(np.random.default_rng(9), 1, 20), [("encoder", "random")])  # no p-value
    found = corrected([*compare(budgets[0]), *single, *compare(budgets[1])])
    tested = [c for c in found if c.p_value is not None]
    expected = multipletests([c.p_value for c in tested], method="holm")[1]
    assert [c.p_holm for c in tested] == pytest.approx(expected)
    assert {c.family for c in found} == {8}
    assert found[4].p_holm is None
    assert corrected([]) == []


def test_the_same_trainings_and_those_that_ended_far_are_marked():
    made = study(np.random.default_rng(0), 5, 8, arms=("random", "encoder", "again"))
    values = made.values.copy()
    values[2] = values[0]
    values[1, 3] = 0.01
    found = compare(replace(made, values=values), [("encoder", "random"), ("again", "random")])
    assert [(c.same, c.zero) for c in found] == [(False, False), (True, False)]
    assert [[far.seed for far in c.far_off] for c in found] == [[3], []]
    assert compare(replace(made, values=values), [("encoder", "random")], far=2)[0].far_off == ()
    (nothing,) = compare(replace(made, values=0 * values), [("encoder", "random")])
    assert (nothing.same, nothing.zero) == (True, True)


def test_the_same_means_of_patients_are_not_the_same_scores():
    made = study(np.random.default_rng(0), 3, 16)
    values = np.tile([[[0.6, 0.9]], [[0.9, 0.6]]], (1, 3, 8))  # two cases a patient, the other one better in each arm
    patients = tuple(f"p{k // 2}" for k in range(16))
    (comparison,) = compare(replace(made, values=values, patients=patients))
    assert not comparison.same
    assert (comparison.difference, comparison.interval, comparison.p_value) == (0, (0, 0), 1)
    assert judge(comparison, 0.02).kind == "equivalent"


def test_pairs_can_be_named():
    made = study(np.random.default_rng(0), 5, 20, arms=ARMS)
    [comparison] = compare(made, [("frozen-encoder", "encoder")])
    assert (comparison.arm, comparison.reference, comparison.family) == ("frozen-encoder", "encoder", 1)
    assert comparison.p_holm == comparison.p_value


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("encoder", "whole")], "unknown arm 'whole'"),
        ([("encoder", "encoder")], "different arms"),
        ([], "expected different pairs"),
        ([("encoder", "random"), ("encoder", "random")], "expected different pairs"),
        ([("encoder", "random"), ("random", "encoder")], "expected different pairs"),
    ],
)
def test_bad_pairs_are_refused(pairs, message):
    with pytest.raises(InputError, match=message):
        compare(study(np.random.default_rng(0), 5, 8), pairs)


def test_without_random_the_pairs_must_be_named():
    made = study(np.random.default_rng(0), 5, 8, arms=("a", "b"))
    with pytest.raises(InputError, match="unknown arm 'random'"):
        compare(made)
    assert compare(made, [("a", "b")])[0].reference == "b"
