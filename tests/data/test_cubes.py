"""Random cubes: borders, the tissue rule, padding."""

import numpy as np
import pytest

from segxfer3d.data.cubes import CropRule, RandCubed, draw_start, sample_cubes, tissue_score

SMALL = CropRule(border=(3, 4, 2), max_tissue=0.15, tissue=0.425)


def slow_score(slab, threshold):
    total = 0.0
    x, y, z = slab.shape
    for i in range(x):
        for j in range(y):
            for m in range(z - 2):
                k = 2
                for n in range(3):
                    if slab[i, j, m + n] >= threshold:
                        k = n
                        break
                total += 1 - k / 2
    return total / (x * y * (z - 2))


def test_tissue_score_by_counting():
    slab = np.random.default_rng(0).random((5, 6, 9))
    assert tissue_score(slab, 0.7) == pytest.approx(slow_score(slab, 0.7))


def test_the_published_threshold():
    rule = CropRule.for_window(-1000, 1000)
    assert rule.tissue == pytest.approx(0.425)
    assert rule.border == (100, 100, 30)


def test_starts_keep_their_distance_and_reach_both_ends():
    rng = np.random.default_rng(0)
    volume = np.zeros((20, 22, 18), np.float32)
    size = (8, 8, 6)
    starts = np.array([draw_start(volume, size, SMALL, rng) for _ in range(2000)])
    assert (starts.min(0) == SMALL.border).all()
    # two more slices are looked at along z
    assert (starts.max(0) == [20 - 3 - 8, 22 - 4 - 8, 18 - 2 - 6 - 2]).all()


def test_full_crops_are_rejected_and_short_volumes_skipped():
    rng = np.random.default_rng(0)
    full = np.ones((30, 30, 30), np.float32)
    assert sample_cubes(full, (8, 8, 8), SMALL, 4, rng) == []
    assert sample_cubes(np.zeros((9, 30, 30), np.float32), (8, 8, 8), SMALL, 4, rng) == []
    assert len(sample_cubes(np.zeros((30, 30, 30), np.float32), (8, 8, 8), SMALL, 4, rng)) == 4
    half = np.zeros((40, 30, 30), np.float32)
    half[20:] = 1
    for start in sample_cubes(half, (8, 8, 8), SMALL, 8, rng):
        box = tuple(slice(s, s + 8) for s in start)
        assert half[box].mean() <= 0.15


def test_small_volumes_are_padded_around():
    volume = np.full((1, 6, 20, 5), 0.7, np.float32)
    cube = RandCubed((8, 8, 8)).set_random_state(0)({"image": volume})["image"]
    assert cube.shape == (1, 8, 8, 8)
    assert float(cube[0, 1:7, :, 1:6].min()) == pytest.approx(0.7)
    assert float(cube.sum()) == pytest.approx(0.7 * 6 * 8 * 5, rel=1e-5)


def test_the_same_state_gives_the_same_cube():
    volume = np.random.default_rng(0).random((1, 20, 20, 20)).astype(np.float32)
    transform = RandCubed((8, 8, 8), SMALL)
    first = transform.set_random_state(5)({"image": volume})["image"]
    assert (transform.set_random_state(5)({"image": volume})["image"] == first).all()
    assert not (transform.set_random_state(6)({"image": volume})["image"] == first).all()
