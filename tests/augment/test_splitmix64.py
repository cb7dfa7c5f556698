"""The random numbers of compiled loops: SplitMix64 as published, uniform noise."""

import numpy as np

from segxfer3d.augment.genesis_corruption import noise
from tests.augment.genesis_cubes import MASK, STEP, mix, stream


def test_random_numbers_are_splitmix64():
    assert mix(STEP) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    cube = noise(3, (2, 3, 4)).ravel()
    expected = [(mix((stream(3, 5) + STEP * i) & MASK) >> 40) * 2.0**-24 for i in range(24)]
    assert cube.tolist() == expected


def test_noise_is_uniform_and_differs_between_seeds():
    values = np.stack([noise(seed, (64, 64, 32)).ravel() for seed in range(2)])
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values[0], bins=64, range=(0, 1))[0]
    assert np.abs(counts - 2048).max() < 5 * np.sqrt(2048)
    assert np.abs(np.corrcoef(values[:, :-1], values[:, 1:])).max(initial=0, where=~np.eye(4, dtype=bool)) < 0.02
