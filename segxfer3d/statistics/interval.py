"""Intervals: their confidence, and that of a mean of few independent values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
Interval = tuple[float, float]


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Student's interval of the mean of independent values, such as one of each seed; None for a single value."""
    from scipy import special  # a while to import, and what runs a study needs none of it

    if len(values) < 2:
        return None
    middle, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(special.stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return middle - half, middle + half
