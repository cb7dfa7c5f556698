"""What the tests of the Models Genesis corruption share: cubes, parameters, SplitMix64 in Python's whole numbers."""

import numpy as np

from segxfer3d.augment.genesis_corruption import Corruption, Draw

SIZES = [(64, 64, 32), (32, 32, 16), (48, 48, 16)]
SMALL_SIZES = [(8, 8, 8), (7, 5, 1), (1, 1, 1)]
MASK = 2**64 - 1
STEP = 0x9E3779B97F4A7C15


def cube_of(shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def only(**chances):
    return Corruption(**{"flip": 0, "shuffle": 0, "intensity": 0, "paint": 0, **chances})


def drawn(**parts):
    nothing = {"seed": 0, "flips": np.empty(0, np.int8), "windows": np.empty((0, 6), np.int32)}
    nothing |= {"controls": np.empty((0, 2)), "increasing": False, "painting": 0}
    return Draw(**{**nothing, "boxes": np.empty((0, 6), np.int32), **parts})


def slices(places):
    return [tuple(slice(start, start + size) for start, size in zip(p[:3], p[3:], strict=True)) for p in places]


def mix(number):
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def stream(seed, part):
    return mix((mix((seed + STEP) & MASK) + STEP * part) & MASK)


def order_of(seed):
    def order(i, n):
        state, left, result = mix((stream(seed, 4) + STEP * i) & MASK), list(range(n)), []
        while left:
            state = (state + STEP) & MASK
            chosen = ((mix(state) >> 32) * len(left)) >> 32
            result.append(left[chosen])
            left[chosen] = left[-1]
            left.pop()
        return np.array(result)

    return order
