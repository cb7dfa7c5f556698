"""What the Models Genesis corruption draws: each parameter as often as the paper says."""

from collections import Counter

import numpy as np
import pytest

from scripts import slow_corruption as slow
from segxfer3d.augment.genesis_corruption import IN_PAINTING, OUT_PAINTING, Corruption, draw
from tests.augment.counting import assert_all_equally_often, assert_share
from tests.augment.genesis_cubes import cube_of, only

DRAWS = 4000


@pytest.fixture(scope="module")
def draws():
    return [draw(seed, (64, 64, 32), Corruption(windows=3)) for seed in range(DRAWS)]


def test_chances_of_the_parts(draws):
    assert_share(sum(len(d.windows) > 0 for d in draws), DRAWS, 0.5)
    assert_share(sum(len(d.controls) > 0 for d in draws), DRAWS, 0.9)
    assert_share(sum(d.increasing for d in draws), DRAWS, 0.45)
    assert_share(sum(d.painting == IN_PAINTING for d in draws), DRAWS, 0.18)
    assert_share(sum(d.painting == OUT_PAINTING for d in draws), DRAWS, 0.72)


def test_chances_of_flips(draws):
    counts = Counter(len(d.flips) for d in draws)
    for count, chance in enumerate((0.6, 0.4 * 0.6, 0.16 * 0.6, 0.064)):
        assert_share(counts[count], DRAWS, chance)
    assert_all_equally_often(np.concatenate([d.flips for d in draws]), 0, 2)


def test_the_parts_are_independent(draws):
    parts = [[len(d.flips), len(d.windows) > 0, len(d.controls) > 0, d.increasing, d.painting] for d in draws]
    correlation = np.corrcoef(np.array(parts, dtype=float).T)
    correlation[2, 3] = correlation[3, 2] = 0  # upward only where there is a map
    assert np.abs(correlation - np.eye(5)).max() < 5 / np.sqrt(DRAWS)


def test_control_points_are_uniform(draws):
    controls = np.array([d.controls.ravel() for d in draws if len(d.controls)])
    for column in controls.T:
        assert_all_equally_often(np.floor(column * 10), 0, 9)
    assert np.abs(np.corrcoef(controls.T) - np.eye(4)).max() < 5 / np.sqrt(len(controls))


def test_numbers_of_boxes(draws):
    inside = [len(d.boxes) for d in draws if d.painting == IN_PAINTING]
    outside = [len(d.boxes) for d in draws if d.painting == OUT_PAINTING]
    for count in range(5):
        assert_share(inside.count(count), len(inside), 0.95**count * 0.05)
    assert_share(inside.count(5), len(inside), 0.95**5)
    assert outside.count(0) == 0
    for count in range(1, 5):
        assert_share(outside.count(count), len(outside), 0.95 ** (count - 1) * 0.05)
    assert_share(outside.count(5), len(outside), 0.95**4)


@pytest.mark.parametrize(
    ("painting", "shape", "sizes"),
    [
        (IN_PAINTING, (64, 64, 32), [(10, 21), (10, 21), (5, 10)]),
        (OUT_PAINTING, (64, 64, 32), [(28, 37), (28, 37), (14, 19)]),
        (IN_PAINTING, (48, 48, 16), [(8, 16), (8, 16), (2, 5)]),
        (OUT_PAINTING, (48, 48, 16), [(21, 28), (21, 28), (7, 10)]),
    ],
)
def test_boxes(painting, shape, sizes):
    corruption = only(paint=1, in_paint=float(painting == IN_PAINTING))
    boxes = np.concatenate([draw(seed, shape, corruption).boxes for seed in range(1500)])
    for axis, (low, high) in enumerate(sizes):
        starts, extents = boxes[:, axis], boxes[:, 3 + axis]
        assert_all_equally_often(extents, low, high)
        for extent in (low, high):
            assert_all_equally_often(starts[extents == extent], 3, shape[axis] - extent - 3)
    assert np.abs(np.corrcoef(boxes[:, 3:].T) - np.eye(3)).max() < 5 / np.sqrt(len(boxes))


@pytest.mark.parametrize(
    ("shape", "most"), [((64, 64, 32), (6, 6, 3)), ((32, 32, 16), (3, 3, 1)), ((9, 10, 1), (1, 1, 1))]
)
def test_windows(shape, most):
    windows = draw(1, shape, only(shuffle=1)).windows
    assert len(windows) == 10_000
    for axis in range(3):
        starts, sizes = windows[:, axis], windows[:, 3 + axis]
        assert_all_equally_often(sizes, 1, most[axis])
        for size in {1, most[axis]}:
            assert_all_equally_often(starts[sizes == size], 0, shape[axis] - size)


@pytest.mark.parametrize("inside", [True, False])
def test_slow_boxes_are_drawn_alike(inside):
    """The slow version's own draws, which the benchmark runs, have the same means and bounds."""
    rng, shape = np.random.default_rng(0), (64, 64, 32)
    theirs = [slow.draw_boxes(rng, shape, inside) for _ in range(1500)]
    ours = [draw(seed, shape, only(paint=1, in_paint=float(inside))).boxes for seed in range(1500)]
    a = np.concatenate(
        [[[*(s.start for s in b), *(s.stop - s.start for s in b)] for b in boxes] for boxes in theirs if boxes]
    )
    b = np.concatenate(ours)
    assert np.array_equal(a[:, 3:].min(0), b[:, 3:].min(0))
    assert np.array_equal(a[:, 3:].max(0), b[:, 3:].max(0))
    error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    assert (np.abs(a.mean(0) - b.mean(0)) < 5 * error).all()
    assert abs(len(a) - len(b)) < 5 * 1.5 * np.sqrt(2 * 1500)


def test_whole_slow_version_has_the_same_parts():
    cube = cube_of((20, 20, 10))
    rng = np.random.default_rng(0)
    for _ in range(4):
        corrupted, target = slow.corrupt(cube, rng)
        assert corrupted.dtype == target.dtype == np.float32
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1
