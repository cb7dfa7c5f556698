from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics.scores import Score, tabulate

ARMS = ("random", "encoder", "encoder+decoder")


def scores(arms=ARMS, seeds=(0, 1), budgets=(5,)):
    return [
        Score(arm, budget, seed, f"c{i}", f"p{i // 2}", 100 * i + 10 * seed + a)
        for budget in budgets
        for seed in seeds
        for a, arm in enumerate(arms)
        for i in range(4)
    ]


def test_every_score_finds_its_place():
    shuffled = [scores(budgets=(20, 5))[i] for i in np.random.default_rng(0).permutation(48)]
    tables = tabulate(shuffled)
    assert list(tables) == [5, 20]
    for budget, table in tables.items():
        assert (table.budget, table.seeds, table.cases) == (budget, (0, 1), ("c0", "c1", "c2", "c3"))
        assert table.patients == ("p0", "p0", "p1", "p1")
        assert table.left_out == ()
        for arm in ARMS:
            for s in (0, 1):
                expected = [100 * i + 10 * s + ARMS.index(arm) for i in range(4)]
                assert table.values[table.index(arm), s].tolist() == expected


def test_arms_keep_the_order_in_which_they_came():
    assert tabulate(scores(ARMS[::-1]))[5].arms == ARMS[::-1]


def test_means_of_patients():
    table = tabulate(scores())[5]
    assert table.patient_means()[0].tolist() == [[50, 250], [60, 260]]


def test_one_arm_is_nothing_to_compare():
    with pytest.raises(InputError, match="budget 5: only the arm random"):
        tabulate(scores(["random"]))
    with pytest.raises(InputError, match="no scores"):
        tabulate([])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_must_be_finite(value):
    bad = scores()
    bad[5] = replace(bad[5], value=value)
    with pytest.raises(InputError, match=f"budget 5: not a finite number: encoder with seed 0, case c1: {value}"):
        tabulate(bad)


def test_a_case_that_one_run_lacks_is_named():
    lacking = [s for s in scores() if (s.arm, s.seed, s.case) != ("encoder", 1, "c2")]
    with pytest.raises(InputError, match=r"paired case by case.*: encoder with seed 1 lacks c2$"):
        tabulate(lacking)


def test_a_case_scored_twice_and_a_case_of_two_patients_are_refused():
    twice = scores()
    with pytest.raises(InputError, match="scored twice: random with seed 0, case c0"):
        tabulate([*twice, twice[0]])
    twice[4] = replace(twice[4], patient="p9")
    with pytest.raises(InputError, match="two patients: case c0 of p0 and of p9"):
        tabulate(twice)


def test_a_missing_run_is_refused_or_its_seed_left_out_for_all():
    lacking = [s for s in scores(seeds=(0, 1, 2)) if (s.arm, s.seed) != ("encoder", 1)]
    with pytest.raises(InputError, match=r"runs missing.*: encoder with seed 1$"):
        tabulate(lacking)
    table = tabulate(lacking, common_seeds=True)[5]
    assert table.seeds == (0, 2)
    why = "another arm has no such run that is done"
    assert table.left_out == ((("encoder+decoder", 1, None), why), (("random", 1, None), why))
    assert np.array_equal(table.values, tabulate(scores(seeds=(0, 2)))[5].values)
    with pytest.raises(InputError, match="no seed that all of random, encoder have"):
        tabulate([*scores(["random"], [0]), *scores(["encoder"], [1])], common_seeds=True)


def test_an_unknown_arm_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"unknown arm 'decoder': expected one of random, encoder, encoder\+decoder"):
        tabulate(scores())[5].index("decoder")
