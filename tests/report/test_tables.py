"""How numbers are written in tables."""

import pytest

from segxfer3d.report import cells


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "< 0.001"), (0.0012, "0.0012"), (0.0449, "0.045"), (0.0496, "< 0.05"), (0.05, "0.05"), (0.2, "0.20")],
)
def test_no_p_value_looks_like_the_limit(value, text):
    assert cells.p_value(value) == text
