"""What is drawn for patches: how often, how far, and that each parameter has numbers of its own."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from segxfer3d.augment.augmentation import CHANCES, Augmentation
from segxfer3d.augment.patch_draws import CONTROLS, Planes, draw_changes, rotation

SIZE = (16, 20, 24)
N = 3000


def draws(augmentation, *, size=SIZE, channels=1, number=N):
    random = np.random.RandomState(0)
    planes = Planes.of(size, augmentation.rotate_degrees)
    start = np.zeros(3, dtype=np.int64)
    three = (1, *size)[-3:]
    return [draw_changes(random, start, planes, three, channels, augmentation) for _ in range(number)]


def share(values):
    return pytest.approx(np.mean(values), abs=4 * np.sqrt(0.25 / len(values)))


def test_rotations_are_scipys():
    for angles in np.random.default_rng(0).uniform(-3, 3, (20, 3)):
        np.testing.assert_allclose(rotation(angles), Rotation.from_euler("xyz", angles).as_matrix(), atol=1e-12)


def test_chances():
    drawn = draws(Augmentation(elastic=0.4), channels=2)
    assert share([d.matrix is not None for d in drawn]) == 0.2 + 0.2 - 0.04
    assert share([d.field is not None for d in drawn]) == 0.4
    assert share([d.noise > 0 for d in drawn]) == 0.1
    for axis in range(3):
        assert share([d.mirrored[axis] for d in drawn]) == 0.5
    for name, chance in (("brightness", 0.15), ("contrast", 0.15), ("gamma", 0.3), ("gamma_inverted", 0.1)):
        chosen = [getattr(d, name) != 1 for d in drawn]
        assert all(first == second for first, second in chosen)  # one chance for all channels
        assert chance == share([first for first, _ in chosen])
    assert share([d.blur[1] > 0 for d in drawn]) == 0.1
    assert share([(d.blur > 0).all() for d in drawn]) == 0.05
    assert share([tuple(d.low_resolution[0]) != SIZE for d in drawn]) == 0.125


def test_ranges():
    always = dict.fromkeys(CHANCES, 1.0)
    drawn = draws(Augmentation(**always), channels=3)
    for name, (low, high) in (("brightness", (0.75, 1.25)), ("contrast", (0.75, 1.25)), ("gamma", (0.7, 1.5))):
        values = np.concatenate([getattr(d, name) for d in drawn])
        assert share(values < 1) == 0.5
        assert stats.kstest(values[values < 1], "uniform", (low, 1 - low)).pvalue > 0.01
        assert stats.kstest(values[values > 1], "uniform", (1, high - 1)).pvalue > 0.01
    sigmas = np.concatenate([d.blur for d in drawn])
    assert stats.kstest(sigmas[sigmas > 0], "uniform", (0.5, 0.5)).pvalue > 0.01
    assert stats.kstest([d.noise for d in drawn], "uniform", (0, 0.1)).pvalue > 0.01
    scales = [np.linalg.det(d.matrix) ** (1 / 3) for d in drawn]
    assert stats.kstest(scales, "uniform", (0.7, 0.7)).pvalue > 0.01
    angles = [
        Rotation.from_matrix(d.matrix / s).as_euler("xyz", degrees=True) for d, s in zip(drawn, scales, strict=True)
    ]
    for axis in range(3):
        assert stats.kstest(np.array(angles)[:, axis], "uniform", (-30, 60)).pvalue > 0.01
    left = np.array([d.low_resolution[0] for d in drawn])
    assert left.min() >= 8
    assert np.abs(left[:, 0] / 16 - left[:, 2] / 24).max() < 0.06
    points = np.stack([d.field for d in drawn[:300]])
    for axis, side in enumerate(SIZE):
        assert points[:, :, :, axis].std() == pytest.approx(0.04 * side, rel=0.05)
    assert points.shape[1:] == (CONTROLS, CONTROLS, 3, CONTROLS)


@pytest.mark.parametrize(("size", "axes", "turned"), [((8, 8, 8), (0, 2), (1, 0, 1)), ((8, 8), (1,), (0, 0, 1))])
def test_only_the_axes_that_may_be_are_turned_around(size, axes, turned):
    drawn = draws(dataclasses.replace(Augmentation.none(), mirror=1.0, mirror_axes=axes), size=size, number=3)
    assert all(tuple(d.mirrored) == turned for d in drawn)


@pytest.mark.parametrize("off", CHANCES)
def test_turning_one_off_leaves_the_others_as_they_were(off):
    augmentation = Augmentation(**dict.fromkeys(CHANCES, 0.6))
    parts = {"rotate": "matrix", "scale": "matrix", "elastic": "field", "mirror": "mirrored"}
    changed = {parts.get(off, off)}
    for with_it, without in zip(
        draws(augmentation, number=20), draws(dataclasses.replace(augmentation, **{off: 0.0}), number=20), strict=True
    ):
        for name, value in with_it.__dict__.items():
            if name not in changed:
                np.testing.assert_array_equal(value, getattr(without, name))


@pytest.mark.parametrize(
    ("size", "free", "degrees"),
    [
        ((16, 16, 16), (1, 1, 1), 30),
        ((32, 32, 11), (1, 1, 1), 30),
        ((32, 32, 10), (1, 1, 0), 180),
        ((8, 32, 64), (0, 1, 1), 180),
        ((64, 8, 8), (1, 0, 0), 30),
        ((64, 64), (0, 1, 1), 180),
        ((64, 40), (0, 1, 1), 15),
    ],
)
def test_thin_axes_stay_as_they_are(size, free, degrees):
    planes = Planes.of(size, None)
    assert planes == Planes(tuple(map(bool, free)), degrees, 3 - len(size))
    assert Planes.of(size, 5.0).degrees == 5
    always = Augmentation(**dict.fromkeys(CHANCES, 1.0))
    for drawn in draws(always, size=size, number=20):
        for axis in range(3):
            if not free[axis]:
                assert np.array_equal(drawn.matrix[axis], np.eye(3)[axis])
                assert np.array_equal(drawn.matrix[:, axis], np.eye(3)[axis])
                assert not drawn.field[:, :, axis].any()
                assert drawn.low_resolution[0, axis] == (1, *size)[-3:][axis]
        turned = not np.allclose(drawn.matrix, np.diag(np.diag(drawn.matrix)))
        assert turned == (sum(free) > 1)
        assert len(size) == 3 or not drawn.mirrored[0]
