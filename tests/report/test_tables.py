"""How numbers are written in tables."""

from dataclasses import replace

import pytest

from segxfer3d.report import cells
from segxfer3d.statistics.verdict import judge
from tests.statistics.test_verdict import MADE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0004, "< 0.001"),
        (0.0012, "0.0012"),
        (0.0449, "0.045"),
        (0.0496, "0.0496"),
        (0.049996, "< 0.05"),
        (0.05, "0.05"),
        (0.050004, "> 0.05"),
        (0.050403, "0.0504"),
        (0.051, "0.051"),
        (0.2, "0.20"),
        (None, "–"),
    ],
)
def test_no_p_value_looks_like_the_limit(value, text):
    assert cells.p_value(value) == text


@pytest.mark.parametrize(("p_holm", "said"), [(0.0496, "p 0.0496 after"), (0.050403, "p 0.0504 after")])
def test_sentences_have_the_p_value_of_tables(p_holm, said):
    pair = replace(MADE, p_holm=p_holm)
    verdict = judge(pair, 0.02)
    assert (verdict.kind == "better") == (p_holm <= 0.05)
    assert said in verdict.sentence
