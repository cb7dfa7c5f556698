from dataclasses import replace

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.statistics.answers import beats
from segxfer3d.statistics.collapse import FarOff
from segxfer3d.statistics.compare import Comparison, compare, corrected
from segxfer3d.statistics.components import MeanSquares
from segxfer3d.statistics.verdict import judge, with_needed
from tests.statistics.simulation import study

MARGIN = 0.02
SQUARES = MeanSquares(seed=0.006, patient=0.007, rest=0.002, seeds=5, patients=40)
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
    squares=SQUARES,
    seeds=5,
    patients=40,
    cases=40,
)


def test_better_and_worse():
    verdict = judge(MADE, MARGIN)
    assert verdict.kind == "better"
    assert verdict.sentence == (
        "encoder is better than random (difference +0.03, 95 % interval +0.01 to +0.05, p 0.004 after Holm for 4; "
        "5 seeds, 40 patients)"
    )
    assert verdict.needed == {}
    worse = replace(MADE, difference=-0.03, interval=(-0.05, -0.01))
    assert judge(worse, MARGIN).kind == "worse"
    assert judge(worse, MARGIN, larger_is_better=False).kind == "better"
    assert judge(MADE, MARGIN, larger_is_better=False).kind == "worse"


def test_the_corrected_p_value_decides():
    verdict = judge(replace(MADE, p_holm=0.08), MARGIN)
    assert verdict.kind == "undecided"
    assert "alone the interval excludes 0, but not as one of 4" in verdict.sentence
    assert judge(replace(MADE, p_holm=0.05), MARGIN).kind == "better"


def test_undecided_says_what_would_find_the_margin():
    open_ = replace(MADE, difference=0.01, interval=(-0.01, 0.03), p_value=0.2, p_holm=0.3)
    verdict = judge(open_, 0.04)
    assert verdict.kind == "equivalent"
    verdict = with_needed(judge(open_, 0.03), open_, 0.03)
    assert verdict.kind == "undecided"
    low, high = verdict.needed["seeds"]
    assert 3 <= low < high
    assert with_needed(judge(MADE, 0.03), MADE, 0.03) == judge(MADE, 0.03)
    assert f"{low} to {high} seeds" in verdict.sentence
    assert "would find a difference of 0.03 in 80 of 100 studies" in verdict.sentence
    assert verdict.why == f"{low} to {high} seeds would find a difference of the margin in 80 of 100 studies"


def test_where_nothing_would_find_the_margin_or_enough_is_there_it_is_said_which():
    open_ = replace(MADE, difference=0.01, interval=(-0.01, 0.03), p_value=0.2, p_holm=0.3)
    verdict = with_needed(judge(open_, 0.0001), open_, 0.0001)
    assert verdict.needed == {}
    assert verdict.sentence.endswith("; no number up to 50 seeds or 2000 patients surely finds a difference of 0.0001")
    # in truth as small as it looks: with squares like these the margin is found almost always
    steady = replace(open_, squares=MeanSquares(seed=1e-6, patient=1e-6, rest=1e-6, seeds=5, patients=40))
    verdict = with_needed(judge(steady, 0.025), steady, 0.025)
    assert (verdict.kind, verdict.needed) == ("undecided", {})
    assert verdict.why == "so many seeds and patients already find a difference of the margin in 80 of 100 studies"
    pretext = replace(steady, scope="pretext", pretrainings=5)
    assert "so many pretrainings and patients" in with_needed(judge(pretext, 0.025), pretext, 0.025).why


def test_of_a_crossed_design_nothing_is_said_to_be_needed():
    crossed = replace(
        MADE, difference=0.01, interval=(-0.01, 0.03), p_holm=0.3, squares=None, scope="pretext", pretrainings=3
    )
    verdict = with_needed(judge(crossed, 0.02), crossed, 0.02)
    assert (verdict.kind, verdict.needed, verdict.why) == ("undecided", {}, "")
    few = judge(replace(crossed, pretrainings=2), 0.02)
    assert (few.kind, few.why) == ("no verdict", "2 pretrainings, at least 3 needed")


def test_equivalent_within_a_margin():
    close = replace(MADE, difference=0.002, interval=(-0.008, 0.012), p_holm=0.6)
    assert judge(close, 0.012).kind == "undecided"  # the interval must lie inside
    verdict = judge(close, 0.02)
    assert verdict.kind == "equivalent"
    assert "equivalent to random within 0.02 (" in verdict.sentence
    verdict = judge(MADE, 0.06)
    assert verdict.kind == "equivalent"
    assert "though a difference smaller than that is there" in verdict.sentence
    for margin in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="margin: expected a positive number"):
            judge(MADE, margin)


def test_no_verdict_from_few_seeds_or_patients():
    verdict = judge(replace(MADE, seeds=2), MARGIN)
    assert verdict.kind == "no verdict"
    assert verdict.sentence == "no verdict on encoder against random: 2 seeds, at least 3 needed"
    assert judge(replace(MADE, seeds=3), MARGIN).kind == "better"
    verdict = judge(replace(MADE, patients=5, seeds=1), MARGIN)
    assert "1 seed, at least 3 needed; 5 patients, at least 6 needed" in verdict.sentence
    (single,) = corrected(compare(study(np.random.default_rng(0), 1, 8)))
    assert judge(single, MARGIN).kind == "no verdict"
    (one_patient,) = corrected(compare(study(np.random.default_rng(0), 5, 1)))
    assert judge(one_patient, MARGIN).kind == "no verdict"
    assert "1 patient, at least 6 needed" in judge(one_patient, MARGIN).sentence


def test_no_verdict_where_a_training_ended_far_from_the_others():
    verdict = judge(replace(MADE, far_off=(FarOff("encoder", 2, 0.1, 0.7),)), 10.0)
    assert verdict.kind == "no verdict"
    assert "encoder with seed 2 ended at 0.1, far from the median 0.7 of its seeds" in verdict.sentence


def test_identical_arms_are_said_to_be_identical():
    made = study(np.random.default_rng(0), 5, 8)
    (same,) = corrected(compare(replace(made, values=made.values[[0, 0]])))
    verdict = judge(same, MARGIN)
    assert (verdict.kind, verdict.sentence) == ("identical", "encoder and random are identical, score by score")
    assert (verdict.why, beats(verdict.kind, verdict.why)) == ("", "no")
    verdict = judge(replace(same, seeds=2), MARGIN)  # the same trainings all the same, and no answer to a claim
    assert (verdict.kind, verdict.why) == ("identical", "2 seeds, at least 3 needed")
    assert beats(verdict.kind, verdict.why) == "undecided"


def test_arms_that_learned_nothing_are_without_a_verdict():
    made = study(np.random.default_rng(0), 5, 8)
    (zero,) = corrected(compare(replace(made, values=0 * made.values)))
    verdict = judge(zero, MARGIN)
    assert (verdict.kind, verdict.why) == ("no verdict", "neither learned anything, dice 0 in every case")
    assert verdict.sentence == f"no verdict on encoder against random: {verdict.why}"
    few = judge(replace(zero, seeds=1), MARGIN)
    assert few.why == f"{verdict.why}; 1 seed, at least 3 needed"
    assert judge(zero, MARGIN, larger_is_better=False).kind == "identical"  # no error at all


def kinds(studies, seeds, effect, margin=0.001):
    rng = np.random.default_rng(1)
    return [judge(corrected(compare(study(rng, seeds, 40, effect=effect)))[0], margin).kind for _ in range(studies)]


def test_a_clear_effect_is_found_and_its_absence_is_not():
    assert kinds(40, 5, 0.15).count("better") >= 39
    assert kinds(40, 5, -0.15).count("worse") >= 39
    assert kinds(40, 10, 0.0, margin=0.1).count("equivalent") >= 38
    assert kinds(100, 5, 0.0).count("undecided") >= 90
