"""Whether random numbers come as often as they should."""

import math
from collections import Counter

import numpy as np


def assert_share(hits, trials, chance):
    """Within 5 standard deviations."""
    assert abs(hits - trials * chance) <= 5 * math.sqrt(trials * chance * (1 - chance)) + 1e-9, (hits, trials, chance)


def assert_all_equally_often(values, low, high):
    """Whole numbers from low to high, both included, equally often."""
    values = [int(value) for value in values]
    assert min(values) >= low
    assert max(values) <= high
    counts = Counter(values)
    for value in range(low, high + 1):
        assert_share(counts[value], len(values), 1 / (high - low + 1))


def assert_uniform(values, low, high, bins=10):
    """Real numbers, equally often in each part of the range."""
    values = np.asarray(values)
    assert values.min() >= low - 1e-5
    assert values.max() <= high + 1e-5
    counts = np.histogram(values, bins=bins, range=(low - 1e-5, high + 1e-5))[0]
    for count in counts:
        assert_share(count, len(values), 1 / bins)
