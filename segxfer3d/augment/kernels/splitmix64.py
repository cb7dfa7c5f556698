"""SplitMix64: random 64-bit numbers from a seed (Steele, Lea and Flood, OOPSLA 2014).

64-bit integers only, so the same seed gives the same numbers on any machine and with any version of NumPy.

Other files compile these functions into theirs, and Numba's cache would not notice a change here. There will be none:
the generator is a published one, and tests hold its numbers.
"""

from __future__ import annotations

import numpy as np

from segxfer3d.augment.compiled import compiled

STEP = np.uint64(0x9E3779B97F4A7C15)

_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = (np.uint64(bits) for bits in (27, 30, 31))


@compiled
def mix(number: np.uint64) -> np.uint64:
    """Scramble 64 bits (one to one)."""
    number = (number ^ (number >> _S30)) * _MULTIPLY_1
    number = (number ^ (number >> _S27)) * _MULTIPLY_2
    return number ^ (number >> _S31)


@compiled
def stream(seed: np.uint64, part: int) -> np.uint64:
    """Where the random numbers of one part of the corruption start."""
    return mix(mix(seed + STEP) + STEP * np.uint64(part))
