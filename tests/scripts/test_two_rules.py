"""The rule of commit 24e1449, beside today's: its numbers are those that its own code gave."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from old_rule import old_pairs, old_verdicts
from two_rules import RESULTS, page, recorded

from segxfer3d.report.arms import Arm
from segxfer3d.statistics.scores import ScoreTable

ARMS = ("random", "encoder", "encoder+decoder", "frozen")


def _table(seeds: int = 5, patients: int = 24) -> ScoreTable:
    rng = np.random.default_rng(7)
    base = 50 + 10 * rng.standard_normal(patients)
    of_seed = rng.standard_normal((4, seeds, 1)) * np.array([6, 2, 1, 1.0])[:, None, None]
    values = base + of_seed + 4 * rng.standard_normal((4, seeds, patients))
    values = np.round(values + np.array([0, 6, 5.5, -9.0])[:, None, None], 2)
    owners = tuple(f"p{p // 2 if p < 8 else p:02}" for p in range(patients))
    return ScoreTable(5, ARMS, tuple(range(seeds)), tuple(f"c{p:02}" for p in range(patients)), owners, values)


def test_the_old_rule_gives_what_its_code_gave():
    pairs = [*((arm, "random") for arm in ARMS[1:]), ("encoder", "encoder+decoder")]
    found = old_verdicts(_table(), pairs)
    assert [old.kind for old in found] == ["better", "better", "worse", "worse"]
    assert [old.difference for old in found] == pytest.approx([8.119667, 9.826333, -6.0525, -1.706667], abs=1e-6)
    assert [old.interval for old in found] == [
        pytest.approx(interval, abs=1e-6)
        for interval in ((4.324100, 13.839808), (5.531801, 16.058956), (-10.032821, -0.187743), (-3.259665, -0.137112))
    ]
    assert [old.p_holm for old in found] == pytest.approx([7.62939e-6] * 3 + [0.00168991], rel=1e-5)


def test_four_seeds_had_no_verdict():
    assert {old.kind for old in old_verdicts(_table(seeds=4), [("encoder", "random")])} == {"no verdict"}


def test_old_pairs_are_the_reference_and_the_decoder_of_one_pretext():
    arms = [
        Arm("random", "random"), Arm("a", "encoder", "A"), Arm("a+", "encoder+decoder", "A"),
        Arm("b", "encoder", "B"), Arm("c+", "encoder+decoder", "C"),
    ]  # fmt: skip
    against = [("a", "random"), ("a+", "random"), ("b", "random"), ("c+", "random")]
    assert old_pairs(arms, "random") == [*against, ("a", "a+")]


@pytest.mark.slow
def test_the_committed_page_is_that_of_the_committed_records():
    assert (RESULTS / "rules.md").read_text(encoding="utf-8") == page(recorded())
