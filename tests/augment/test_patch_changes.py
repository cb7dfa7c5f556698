"""Training patches against slow versions: where voxels come from, and each change of intensities."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation
from torch.nn.functional import interpolate

from segxfer3d.augment import patch_changes
from segxfer3d.augment.indexed_label import IndexedLabel
from segxfer3d.augment.kernels import patch_intensities
from segxfer3d.augment.patch_draws import CONTROLS, PatchDraw
from tests.augment import slow_patches as slow

SIZE = (12, 9, 14)


def drawn(channels=1, **changes):
    """Nothing happens but what is given."""
    ones = np.ones(channels)
    values = {
        "start": np.zeros(3, dtype=np.int64), "mirrored": np.zeros(3, dtype=bool), "matrix": None, "field": None,
        "noise": 0.0, "seed": 5, "blur": 0 * ones, "brightness": ones, "contrast": ones,
        "low_resolution": np.tile(SIZE, (channels, 1)), "gamma_inverted": ones, "gamma": ones,
    }  # fmt: skip
    return PatchDraw(**{**values, **changes})


def case(shape=(20, 18, 22), channels=1, classes=2):
    random = np.random.default_rng(0)
    image = random.normal(size=(channels, *shape)).astype(np.float32)
    label = (random.random((classes, *shape)) < 0.3).astype(np.float32)
    return image, label


@pytest.mark.parametrize("mirrored", [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 1)])
@pytest.mark.parametrize("start", [(3, 4, 5), (-4, 12, -2), (15, -5, 20), (-30, 0, 0)])
def test_a_patch_on_the_grid_is_a_slice_of_the_padded_volume(start, mirrored):
    image, label = case(channels=2)
    result = patch_changes.take_patch(
        image, IndexedLabel.of(label), drawn(2, start=np.array(start), mirrored=np.array(mirrored, dtype=bool)), SIZE
    )
    axes = [1 + axis for axis in range(3) if mirrored[axis]]
    for value, whole in zip(result, (image, label), strict=True):
        padded = np.pad(whole, [(0, 0), (40, 40), (40, 40), (40, 40)])
        part = padded[(slice(None), *(slice(40 + s, 40 + s + side) for s, side in zip(start, SIZE, strict=True)))]
        assert np.array_equal(value, np.flip(part, axes))


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("start", [(4, 5, 4), (-3, 10, 12), (18, -8, 3)])
def test_a_patch_off_the_grid_is_sampled_where_it_should_be(start, bent):
    image, label = case(channels=2, classes=3)
    matrix = 0.9 * Rotation.from_euler("xyz", [20, -10, 35], degrees=True).as_matrix()
    field = np.random.default_rng(1).normal(size=(CONTROLS, CONTROLS, 3, CONTROLS)).astype(np.float32) if bent else None
    mirrored = np.array([True, False, True])
    result = patch_changes.take_patch(
        image,
        IndexedLabel.of(label),
        drawn(2, start=np.array(start), matrix=matrix, field=field, mirrored=mirrored),
        SIZE,
    )
    center = np.array(start) + (np.array(SIZE) - 1) / 2
    moved = slow.spline(field, SIZE) if bent else None
    where = slow.places(SIZE, center, matrix @ np.diag([-1, 1, -1]), moved)
    for channel, whole in zip(result[0], image, strict=True):
        np.testing.assert_allclose(channel, slow.sample(whole, where), atol=2e-4)
    sure = (np.abs(where - np.floor(where) - 0.5) > 1e-3).all(0)  # not between two voxels
    assert sure.mean() > 0.98
    for channel, whole in zip(result[1], label, strict=True):
        assert np.array_equal(channel[sure], slow.sample(whole, where, nearest=True)[sure])


@pytest.mark.parametrize("shape", [(2, 1, 30), (30, 1, 2), (3, 30, 1), (1, 1, 9), (2, 2, 2)])
def test_thin_volumes(shape):
    image, label = case(shape)
    matrix = Rotation.from_euler("xyz", [3, -4, 5], degrees=True).as_matrix()
    center = (np.array(shape) - 1) / 2
    change = drawn(start=np.array(center - (np.array(SIZE) - 1) / 2 + 0.5, dtype=np.int64), matrix=matrix)
    values, masks = patch_changes.take_patch(image, IndexedLabel.of(label), change, SIZE)
    where = slow.places(SIZE, change.start + (np.array(SIZE) - 1) / 2, matrix)
    np.testing.assert_allclose(values[0], slow.sample(image[0], where), atol=2e-4)
    assert (masks[0] == slow.sample(label[0], where, nearest=True)).mean() > 0.99


def test_an_image_is_a_volume_with_one_layer():
    image, label = case((1, 30, 26), channels=3)
    size, start = (1, 12, 16), np.array([0, 3, -4])
    matrix = Rotation.from_euler("x", 40, degrees=True).as_matrix() * np.array([[1], [1.2], [1.2]])
    values, masks = patch_changes.take_patch(image, IndexedLabel.of(label), drawn(3, start=start, matrix=matrix), size)
    where = slow.places(size, start + (np.array(size) - 1) / 2, matrix)
    for channel, whole in zip(values, image, strict=True):
        np.testing.assert_allclose(channel, slow.sample(whole, where), atol=2e-4)
    for channel, whole in zip(masks, label, strict=True):
        assert (channel == slow.sample(whole, where, nearest=True)).mean() > 0.99


def test_bytes_become_a_255th():
    image, label = case()
    whole = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    for matrix in (None, 1.1 * np.eye(3)):
        change = drawn(start=np.array([2, 3, 4]), matrix=matrix)
        of_bytes, _ = patch_changes.take_patch(whole, IndexedLabel.of(label), change, SIZE)
        of_floats, _ = patch_changes.take_patch((whole / 255).astype(np.float32), IndexedLabel.of(label), change, SIZE)
        np.testing.assert_allclose(of_bytes, of_floats, atol=1e-6)


CHANGES = {
    "blur": (lambda c: slow.blur(c, 0.8), {"blur": 0.8}),
    "brightness": (lambda c: slow.brighten(c, 1.2, 1), {"brightness": 1.2}),
    "contrast": (lambda c: slow.brighten(c, 1.2, 0.8), {"brightness": 1.2, "contrast": 0.8}),
    "more contrast": (lambda c: slow.brighten(c, 1, 1.25), {"contrast": 1.25}),
    "low resolution": (lambda c: slow.lower_resolution(c, (7, 5, 14)), {"low_resolution": [7, 5, 14]}),
    "gamma": (lambda c: slow.gamma(c, 1.4, False), {"gamma": 1.4}),
    "inverted gamma": (lambda c: slow.gamma(c, 0.7, True), {"gamma_inverted": 0.7}),
    "all": (
        lambda c: slow.gamma(slow.gamma(slow.lower_resolution(slow.brighten(
            slow.blur(c, 0.6), 0.9, 1.1), (9, 8, 7)), 0.8, True), 1.3, False),
        {"blur": 0.6, "brightness": 0.9, "contrast": 1.1, "low_resolution": [9, 8, 7], "gamma_inverted": 0.8,
         "gamma": 1.3},
    ),
}  # fmt: skip


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_that_of_the_slow_version(name, offset):
    image, _ = case(SIZE, channels=2)
    image += offset
    formula, changes = CHANGES[name]
    values = {key: np.array([value, dict(drawn().__dict__)[key][0]]) for key, value in changes.items()}
    before = image.copy()
    patch_changes.change_intensities(image, drawn(2, **values))
    np.testing.assert_allclose(image[0], formula(before[0].astype(np.float64)), atol=1e-5 * max(1, 3 * offset))
    assert np.array_equal(image[1], before[1])


def test_low_resolution_is_what_torch_makes_of_it():
    channel = np.random.default_rng(0).random(SIZE, dtype=np.float32)
    few = interpolate(torch.from_numpy(channel)[None, None], (8, 5, 11), mode="nearest-exact")
    expected = interpolate(few, SIZE, mode="trilinear")[0, 0].numpy()
    patch_changes.lower_resolution(channel, np.array([8, 5, 11]))
    np.testing.assert_allclose(channel, expected, atol=1e-6)


def test_what_is_constant_stays_finite():
    image = np.full((1, *SIZE), 3, dtype=np.float32)
    one = np.ones(1)
    patch_changes.change_intensities(
        image, drawn(noise=0.1, gamma=1.3 * one, gamma_inverted=0.8 * one, contrast=1.2 * one)
    )
    np.testing.assert_allclose(image, 3, atol=1e-6)


def test_noise_is_normal_and_as_strong_as_said():
    image, _ = case((64, 64, 33), channels=2)
    image *= 7
    before = image.copy()
    patch_changes.change_intensities(image, drawn(2, noise=0.1, low_resolution=np.tile(image.shape[1:], (2, 1))))
    noise = (image - before) / (0.1 * before.std((1, 2, 3), keepdims=True))
    assert stats.kstest(noise[0].ravel()[::7], "norm").pvalue > 0.01
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1, abs=0.005)
    assert stats.kurtosis(noise.ravel()) == pytest.approx(0, abs=0.05)
    for shift in (1, 33, 64 * 33):
        assert abs(np.corrcoef(noise[0].ravel()[:-shift], noise[0].ravel()[shift:])[0, 1]) < 0.01
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("exponent", [0.05, 0.7, 1.5, 20])
def test_powers_are_right_over_the_whole_range(exponent):
    values = np.concatenate([[0, 1, 1e-30, 1e-6], np.linspace(0, 1, 5000), 2.0 ** np.linspace(-20, 0, 3000)])
    powers = values.astype(np.float32)
    for begin in range(0, len(powers), patch_intensities.PIECE):
        piece = np.maximum(powers[begin : begin + patch_intensities.PIECE], np.float32(2.0**-100))
        whole, rest = np.empty(len(piece), dtype=np.int32), np.empty(len(piece), dtype=np.float32)
        patch_intensities._power(piece, np.float32(exponent), whole, rest)
        powers[begin : begin + len(piece)] = piece
    expected = np.maximum(values, 2.0**-100) ** exponent
    np.testing.assert_allclose(powers, expected, atol=2e-6 * max(exponent, 1))
