import doctest

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics import convergence
from segxfer3d.statistics.answers import fewer
from segxfer3d.statistics.convergence import converge, first_reached
from segxfer3d.statistics.interval import t_interval
from segxfer3d.statistics.trainings import Pretrainings, pretrainings_of


def curve(final, rate, steps=range(25, 2001, 25)):
    """Dice that nears ``final`` exponentially."""
    return [(step, final * (1 - np.exp(-step / rate))) for step in steps]


def curves(rates=(200, 100), seeds=8, spread=0.1):
    rng = np.random.default_rng(0)
    return {
        arm: {s: curve(0.8, rate * (1 + spread * rng.standard_normal())) for s in range(seeds)}
        for arm, rate in zip(("random", "encoder"), rates, strict=True)
    }


def test_first_reached():
    points = [(10, 0.2), (20, 0.6), (30, 0.4), (40, 0.8)]
    assert first_reached(points, 0.5) == pytest.approx(17.5)
    assert first_reached(points, 0.7) == pytest.approx(37.5)
    assert first_reached(points, 0.8) == 40
    assert first_reached(points, 0.1) == 10
    assert first_reached(points, 0.9) is None
    assert doctest.testmod(convergence).failed == 0


def test_steps_of_known_curves():
    random, encoder = converge(curves(spread=0))
    assert random.steps == pytest.approx(-200 * np.log(0.05), rel=0.01)
    assert encoder.steps == pytest.approx(-100 * np.log(0.05), rel=0.01)
    assert random.interval == pytest.approx((random.steps, random.steps))
    assert (random.difference, random.difference_interval) == (0, (0, 0))
    assert random.never == encoder.never == ()
    assert encoder.final == pytest.approx(0.8, rel=1e-3)


def test_the_faster_arm_is_found_with_its_interval():
    random, encoder = converge(curves())
    assert encoder.difference == pytest.approx(encoder.steps - random.steps)
    assert encoder.difference_interval[1] < 0
    assert encoder.interval[0] < encoder.steps < encoder.interval[1]
    assert encoder.steps == pytest.approx(np.mean(encoder.seed_steps))
    assert encoder.seeds == tuple(range(8))
    assert converge(curves())[1] == encoder


def test_a_level_set_by_one_arm():
    made = {"random": {s: curve(0.8, 200) for s in range(5)}, "frozen-random": {s: curve(0.3, 20) for s in range(5)}}
    own, common = converge(made)[1], converge(made, level_of="random")[1]
    assert own.steps < 100
    assert own.final == pytest.approx(0.3, rel=1e-3)
    assert common.never == (0, 1, 2, 3, 4)
    assert common.steps == 2000


def test_the_level_is_a_share_of_the_last_value_and_not_of_what_a_curve_nears():
    made = {arm: {s: curve(0.8, 1500) for s in range(2)} for arm in ("random", "encoder")}
    last = 1 - np.exp(-2000 / 1500)
    for share in (0.95, 0.5):
        found = converge(made, share=share)[0]
        assert found.steps == pytest.approx(-1500 * np.log(1 - share * last), rel=0.01)
        assert found.final == pytest.approx(0.8 * last, rel=0.01)


def test_noise_of_a_curve_makes_it_no_faster():
    rng = np.random.default_rng(2)
    steps = np.arange(15, 121, 15)
    noisy, true = [], 40 * -np.log(1 - 0.95 * (1 - np.exp(-3)))
    for _ in range(300):
        values = 60 * (1 - np.exp(-steps / 40)) + 3 * rng.standard_normal(len(steps))
        noisy.append(list(zip(steps.tolist(), values.tolist(), strict=True)))
    arm = dict(enumerate(noisy))
    found = converge({"random": arm, "encoder": arm})[0]
    first = np.mean([first_reached(each, 0.95 * each[-1][1]) for each in noisy])
    assert found.steps == pytest.approx(true, abs=2)
    assert first < true - 2


def test_few_evaluations_are_read_as_straight_lines():
    made = {arm: {0: [(10, 0.2), (20, 0.6), (40, 0.8)]} for arm in ("random", "encoder")}
    assert converge(made, share=0.5)[0].seed_steps == pytest.approx((15,))


def test_a_level_below_the_first_evaluation_counts_with_its_step():
    early = [(step, 0.8) for step in range(100, 1001, 100)]
    made = {"random": {0: curve(0.8, 200)}, "encoder": {0: early}}
    assert converge(made, level_of="random")[1].seed_steps == (100,)


def test_an_arm_that_learns_nothing_never_converges():
    made = curves()
    made["encoder"][3] = [(25, 0.0), (2000, 0.0)]
    encoder = converge(made)[1]
    assert encoder.never == (3,)
    assert encoder.seed_steps[3] == 2000


def test_one_seed_has_no_interval():
    encoder = converge(curves(seeds=1))[1]
    assert encoder.interval is None
    assert encoder.difference_interval is None


def test_bad_curves_are_named():
    good = curves()
    with pytest.raises(InputError, match="at least two"):
        converge({"random": good["random"]})
    with pytest.raises(InputError, match="unknown arm 'whole': expected one of random, encoder"):
        converge(good, level_of="whole")
    with pytest.raises(InputError, match="unknown arm 'a'"):
        converge(good, reference="a")
    with pytest.raises(InputError, match="share"):
        converge(good, share=95)
    with pytest.raises(InputError, match="cannot be paired: encoder with seed 7"):
        converge({**good, "encoder": {s: good["encoder"][s] for s in range(7)}})
    for bad, message in (
        ([(1, 0.5)], "at least two evaluations"),
        ([], "at least two evaluations"),
        ([(1, 0.5), (2, float("nan"))], "all finite"),
        ([(2, 0.5), (1, 0.6)], "steps that ascend"),
    ):
        with pytest.raises(InputError, match=f"curve of encoder with seed 7: expected .*{message}"):
            converge({**good, "encoder": {**good["encoder"], 7: bad}})


NESTED = Pretrainings(frozenset({"encoder"}), {seed: seed % 3 for seed in range(8)})  # 3, 3 and 2 seeds


def test_of_nested_pretrainings_each_has_one_value():
    made = curves()
    random, encoder = converge(made, pretrainings=NESTED)
    alone_random, alone = converge(made)
    assert random == alone_random  # it starts from none
    means = [np.mean([alone.seed_steps[s] for s in range(8) if s % 3 == pre]) for pre in range(3)]
    less = np.subtract(alone.seed_steps, random.seed_steps)
    differences = [less[pre::3].mean() for pre in range(3)]
    assert encoder.steps == pytest.approx(np.mean(means))
    assert encoder.interval == pytest.approx(t_interval(means))
    assert (encoder.levels, encoder.differences) == ("pretrainings", pytest.approx(differences))
    assert encoder.difference == pytest.approx(np.mean(differences))
    assert encoder.difference_interval == pytest.approx(t_interval(differences))
    assert encoder.seed_steps == alone.seed_steps
    assert (alone.levels, alone.differences) == ("seeds", pytest.approx(less))


def test_pretrainings_that_differ_are_not_called_faster_for_many_seeds():
    """Eight seeds of two pretrainings, one fast and one slow: as seeds they look sure."""
    rng = np.random.default_rng(0)
    rates = {seed: 60 if seed < 4 else 120 for seed in range(8)}
    made = {
        "random": {s: curve(0.8, 200 + rng.standard_normal()) for s in rates},
        "encoder": {s: curve(0.8, rate + rng.standard_normal()) for s, rate in rates.items()},
    }
    assert fewer(converge(made)[1].differences) == "yes"
    repeated = Pretrainings(frozenset({"encoder"}), {seed: seed // 4 for seed in range(8)})
    found = converge(made, pretrainings=repeated)[1]
    assert len(found.differences) == 2
    assert fewer(found.differences) == "undecided"


def test_of_a_crossed_design_steps_have_no_interval():
    crossed = Pretrainings(frozenset({"encoder"}))
    random, encoder = converge(curves(), pretrainings=crossed)
    assert (encoder.interval, encoder.difference_interval, encoder.differences) == (None, None, ())
    assert encoder.levels == "crossed"
    assert encoder.steps == pytest.approx(np.mean(encoder.seed_steps))
    assert encoder.difference == pytest.approx(encoder.steps - random.steps)
    assert random.interval is not None
    assert fewer(encoder.differences) == "undecided"


def test_what_is_repeated_is_read_from_the_runs():
    nested = [("random", s, None) for s in range(4)] + [("encoder", s, s % 2) for s in range(4)]
    found = pretrainings_of(nested, {"encoder"})
    assert found == Pretrainings(frozenset({"encoder"}), {0: 0, 1: 1, 2: 0, 3: 1})
    assert [found.levels(arms) for arms in (["random"], ["encoder"], ["encoder", "random"])] == [
        "seeds", "pretrainings", "pretrainings"
    ]  # fmt: skip
    with_fixed = pretrainings_of([*nested, *(("elsewhere", s, None) for s in range(4))], {"encoder", "elsewhere"})
    assert with_fixed.levels(["encoder", "elsewhere"]) == "seeds"  # of this checkpoint, as the verdict on dice
    crossed = pretrainings_of([("encoder", s, p) for s in range(2) for p in range(2)], {"encoder"})
    assert crossed.levels(["encoder", "random"]) == "crossed"
    single = pretrainings_of([("encoder", s, 7) for s in range(4)], {"encoder"})
    assert single.levels(["encoder"]) == "seeds"


def test_a_difference_with_steps_that_were_never_reached_is_a_bound():
    made = curves(seeds=2, spread=0)
    late = {s: curve(0.1, 100) for s in range(2)}
    found = converge({**made, "late": late}, level_of="random")
    assert [one.bound for one in found] == ["", "", ">"]
    assert found[2].difference == pytest.approx(2000 - found[0].steps)
    unlearned = {s: [(step, 0.0) for step, _ in points] for s, points in late.items()}
    found = converge({"unlearned": unlearned, **made, "other": unlearned}, reference="unlearned")
    assert [one.bound for one in found] == ["", "<", "<", "?"]
