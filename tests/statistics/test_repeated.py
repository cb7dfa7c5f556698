"""Pretrainings that are repeated: which trainings are paired, and how their spread enters the interval."""

from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics.compare import compare
from segxfer3d.statistics.crossed import crossed_mean
from segxfer3d.statistics.describe import describe
from segxfer3d.statistics.repeated import mean_over_pretrainings, mean_squares_of_three
from segxfer3d.statistics.scores import Score, tabulate
from segxfer3d.statistics.verdict import judge

PAIRS = [("encoder", "random")]


def crossed_scores(seeds=(0, 1), pretrainings=(0, 1, 2), patients=8, seed=0):
    """Random has a training a seed, the encoder one for each seed and pretraining."""
    rng = np.random.default_rng(seed)
    runs = [("random", s, None) for s in seeds] + [("encoder", s, p) for p in pretrainings for s in seeds]
    return [
        Score(arm, 5, s, f"c{k}", f"c{k}", float(rng.normal(60, 5)), p) for arm, s, p in runs for k in range(patients)
    ]


def nested_scores(seeds=range(6), pretrainings=3, patients=8, seed=0):
    """Seed s starts from pretraining s modulo their number."""
    rng = np.random.default_rng(seed)
    runs = [("random", s, None) for s in seeds] + [("encoder", s, s % pretrainings) for s in seeds]
    return [
        Score(arm, 5, s, f"c{k}", f"c{k}", float(rng.normal(60, 5)), p) for arm, s, p in runs for k in range(patients)
    ]


def test_each_training_is_paired_with_that_of_its_seed():
    scores = crossed_scores()
    table = tabulate(scores)[5]
    assert (table.seeds, table.pretrainings) == ((0, 1, 0, 1, 0, 1), (0, 0, 1, 1, 2, 2))
    assert table.repeated == {"encoder"}
    assert np.array_equal(table.values[0, :2], table.values[0, 2:4])  # random, once for each pretraining
    of_run = [s.value for s in scores if (s.arm, s.seed, s.pretraining) == ("encoder", 1, 2)]
    assert table.values[1, 5].tolist() == of_run
    nested = tabulate(nested_scores())[5]
    assert (nested.seeds, nested.pretrainings) == ((0, 3, 1, 4, 2, 5), (0, 0, 1, 1, 2, 2))


def test_trainings_that_are_missing_are_refused_or_leave_a_whole_rectangle():
    lacking = [s for s in crossed_scores(seeds=range(4)) if (s.arm, s.seed, s.pretraining) != ("encoder", 1, 2)]
    with pytest.raises(InputError, match=r"runs missing.*: encoder with seed 1 from pretraining 2$"):
        tabulate(lacking)
    table = tabulate(lacking, common_seeds=True)[5]
    assert sorted(set(table.seeds)) == [0, 2, 3]  # rather than two pretrainings of three
    assert len(table.seeds) == 9
    rest = "seed 1 is not done from every pretraining"
    assert table.left_out == ((("encoder", 1, 0), rest), (("encoder", 1, 1), rest), (("random", 1, None), rest))
    few = [s for s in crossed_scores(seeds=range(4)) if s.pretraining != 2 or s.seed == 0]
    table = tabulate(few, common_seeds=True)[5]
    assert sorted(set(table.pretrainings)) == [0, 1]
    assert table.left_out == ((("encoder", 0, 2), "not every seed is done from pretraining 2"),)
    whole = "another arm has no such run that is done"
    more = [*crossed_scores(), *(replace(s, seed=5) for s in crossed_scores() if s.arm == "random" and s.seed == 1)]
    assert tabulate(more, common_seeds=True)[5].left_out == ((("random", 5, None), whole),)
    other = [replace(s, arm="other") for s in crossed_scores() if s.arm == "encoder"]
    lacking = [s for s in other if s.pretraining != 2]
    found = tabulate([*crossed_scores(), *lacking], common_seeds=True)[5].left_out
    assert found == ((("encoder", 0, 2), whole), (("encoder", 1, 2), whole))
    torn = [replace(s, pretraining=None) if s.seed == 0 else s for s in nested_scores()]
    with pytest.raises(InputError, match="runs of encoder with and without a seed of their pretraining"):
        tabulate(torn)
    without = [s for s in nested_scores() if (s.arm, s.seed) != ("encoder", 4)]
    with pytest.raises(InputError, match=r"runs missing.*: encoder with seed 4$"):
        tabulate(without)


def test_nested_pretrainings_stand_in_the_place_of_seeds():
    table = tabulate(nested_scores())[5]
    found = compare(table, PAIRS, loading={"encoder": 1})[0]
    differences = table.patient_means()[1] - table.patient_means()[0]
    expected = crossed_mean(differences.reshape(3, 2, 8).mean(1))
    assert (found.scope, found.pretrainings, found.seeds) == ("pretext", 3, 6)
    assert found.interval == pytest.approx(expected.interval)
    assert found.seed_differences == pytest.approx(expected.by_seed)
    # with one pretraining for all, it is this checkpoint, and seeds are what varies
    one = tabulate(nested_scores(pretrainings=1))[5]
    alone = compare(one, PAIRS, loading={"encoder": 1})[0]
    assert (alone.scope, alone.pretrainings) == ("checkpoint", 1)
    plain = [replace(s, pretraining=None) for s in nested_scores(pretrainings=1)]
    assert alone.interval == compare(tabulate(plain)[5], PAIRS)[0].interval


def test_the_mean_of_an_arm_is_that_of_its_interval_where_a_pretraining_lacks_a_seed():
    scores = [s for s in nested_scores() if (s.arm, s.seed) != ("encoder", 4)]
    table = tabulate(scores, common_seeds=True)[5]
    random, encoder = describe(table)
    of_training = dict(zip(table.seeds, encoder.seed_means, strict=True))
    by_pretraining = [
        np.mean([of_training[0], of_training[3]]),
        of_training[1],
        np.mean([of_training[2], of_training[5]]),
    ]
    assert encoder.mean == pytest.approx(np.mean(by_pretraining))
    for arm in (random, encoder):
        assert sum(arm.interval) / 2 == pytest.approx(arm.mean)


def test_mean_squares_of_three_factors_are_those_of_their_definition():
    rng = np.random.default_rng(3)
    r, s, p = rng.normal(size=(4, 1, 1)), rng.normal(size=(1, 3, 1)), rng.normal(size=(1, 1, 5))
    found = mean_squares_of_three(r + s + p)
    assert found["r"] == pytest.approx(15 * r.var(ddof=1))
    assert found["s"] == pytest.approx(20 * s.var(ddof=1))
    assert found["p"] == pytest.approx(12 * p.var(ddof=1))
    assert [found[name] for name in ("rs", "rp", "sp", "rsp")] == pytest.approx([0] * 4, abs=1e-12)
    cube = rng.normal(size=(4, 3, 5))
    squares = mean_squares_of_three(cube)
    degrees = {"r": 3, "s": 2, "p": 4, "rs": 6, "rp": 12, "sp": 8, "rsp": 24}
    assert sum(squares[name] * n for name, n in degrees.items()) == pytest.approx(((cube - cube.mean()) ** 2).sum())


def test_what_pretrainings_differ_by_widens_the_interval_of_crossed_ones():
    rng = np.random.default_rng(0)
    seeds, pretrainings = tuple(list(range(5)) * 4), tuple(k for k in range(4) for _ in range(5))
    noise = rng.normal(0, 2, (20, 30))
    shift = np.array([-9.0, -3.0, 3.0, 9.0])[list(pretrainings)][:, None]
    narrow, wide = (
        mean_over_pretrainings(noise + each, seeds=seeds, pretrainings=pretrainings) for each in (0 * shift, shift)
    )
    assert wide.difference == pytest.approx(narrow.difference)
    assert narrow.interval[1] - narrow.interval[0] < 2
    # four values with a standard deviation of 7.7: Student's interval over them alone is 24.7 wide
    assert wide.interval[1] - wide.interval[0] == pytest.approx(24.7, rel=0.05)


@pytest.mark.parametrize("crossed", [True, False])
def test_intervals_hold_for_pretrainings_that_differ(crossed):
    rng = np.random.default_rng(1)
    seeds = tuple(list(range(4)) * 3) if crossed else tuple(range(12))
    pretrainings = tuple(k for k in range(3) for _ in range(4))
    held = 0
    for _ in range(300):
        differences = (
            rng.normal(0, 5, (3, 1))[list(pretrainings)]
            + (rng.normal(0, 3, (4, 1))[list(seeds)] if crossed else rng.normal(0, 3, (12, 1)))
            + rng.normal(0, 5, (1, 20))
            + rng.normal(0, 8, (12, 20))
        )
        low, high = mean_over_pretrainings(differences, seeds=seeds, pretrainings=pretrainings).interval
        held += low <= 0 <= high
    assert held / 300 >= 0.93


def test_the_verdict_says_what_it_holds_for():
    table = tabulate(crossed_scores(seeds=range(3)))[5]
    (found,) = compare(table, PAIRS, loading={"encoder": 1})
    assert judge(found, 1).sentence.endswith("3 pretrainings, 3 seeds, 8 patients; holds for the pretext)")
    # random: from a checkpoint that nothing repeats
    (elsewhere,) = compare(table, PAIRS, loading={"encoder": 1, "random": 1})
    assert judge(elsewhere, 1).sentence.endswith("; 3 seeds, 8 patients; holds for this checkpoint)")
    two = tabulate([s for s in crossed_scores(seeds=range(3)) if s.pretraining != 2])[5]
    verdict = judge(compare(two, PAIRS, loading={"encoder": 1})[0], 1)
    assert verdict.kind == "no verdict"
    assert "2 pretrainings, at least 3 needed" in verdict.sentence


def test_an_arm_is_described_by_its_trainings():
    table = tabulate(crossed_scores(seeds=range(3)))[5]
    random, encoder = describe(table)
    assert (len(random.seed_means), len(encoder.seed_means)) == (3, 9)
    assert encoder.std == pytest.approx(np.std(table.values[1].mean(1), ddof=1))
    by_seed = table.values[0, :3]
    assert random.interval == pytest.approx(crossed_mean(by_seed).interval)
