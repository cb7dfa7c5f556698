"""What comparisons answer together."""

import doctest

import pytest

from segxfer3d.statistics import answers
from segxfer3d.statistics.answers import beats, fewer, together, turned


def test_an_answer_is_that_of_all_comparisons():
    assert doctest.testmod(answers).failed == 0
    assert together(["yes"]).count == "the only comparison says yes"
    assert together(["undecided"]).count == "the only comparison is undecided"
    assert together(["no", "no", "no"]).count == "all 3 comparisons say no"
    assert together(["undecided", "undecided"]).count == "all 2 comparisons are undecided"
    mixed = together(["yes", "no", "no", "undecided"])
    assert mixed.answer == "undecided"
    assert mixed.count == "1 of 4 comparisons says yes, 2 say no, 1 is undecided"
    assert together(["no", "no", "undecided"]).count == "2 of 3 comparisons say no, 1 is undecided"


@pytest.mark.parametrize(
    ("kind", "answer", "other"),
    [
        ("better", "yes", "no"), ("worse", "no", "yes"), ("equivalent", "no", "no"), ("identical", "no", "no"),
        ("undecided", "undecided", "undecided"), ("no verdict", "undecided", "undecided"),
    ],
)  # fmt: skip
def test_what_a_verdict_says(kind, answer, other):
    assert beats(kind) == answer
    assert beats(turned(kind)) == other


def test_steps_are_judged_by_an_interval_for_the_whole_family():
    differences = [-10.0, -20.0, -30.0]  # t of 3.46 with 2 degrees of freedom: p 0.074
    assert fewer(differences) == "undecided"
    assert fewer([-15.0, -20.0, -25.0]) == "yes"  # p 0.020
    assert fewer([15.0, 20.0, 25.0]) == "no"
    assert fewer([-15.0, -20.0, -25.0], family=3) == "undecided"
    assert fewer([-20.0, -20.1]) == "undecided"
