"""What a machine has, and sizes in words."""

import pytest

from segxfer3d.machine import GIB, size_text


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0.00 MB"),
        (340_000, "0.34 MB"),
        (0.0999 * GIB, "107.27 MB"),
        (0.1 * GIB, "0.10 GiB"),
        (6.125 * GIB, "6.12 GiB"),
    ],
)
def test_small_sizes_are_in_mb(count, words):
    assert size_text(count) == words
