"""Each part of the corruption against the slow version on the same parameters; batches, items, refusals."""

import doctest
import zlib
from collections import Counter

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch.utils.data import DataLoader

from scripts import slow_corruption as slow
from segxfer3d.augment import genesis_corruption as module
from segxfer3d.augment.genesis_corruption import (
    IN_PAINTING,
    Corruption,
    GenesisCorruptiond,
    apply,
    corrupt,
    corrupt_channels,
    draw,
    noise,
)
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError
from tests.augment.counting import assert_share
from tests.augment.genesis_cubes import SIZES, SMALL_SIZES, cube_of, drawn, only, order_of, slices

NOTHING = Corruption(flip=0, shuffle=0, intensity=0, paint=0)


def test_doctest():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("flips", [[], [0], [1], [2], [0, 1], [0, 0], [1, 2, 0], [1, 1, 1]])
def test_flip(flips):
    cube = cube_of((6, 5, 4))
    corrupted, target = apply(cube, drawn(flips=np.array(flips, np.int8)))
    assert np.array_equal(target, slow.flip(cube, flips))
    assert np.array_equal(corrupted, target)


@pytest.mark.parametrize("shape", SIZES + SMALL_SIZES)
def test_shuffle(shape):
    cube, seed = cube_of(shape), 11
    parameters = draw(seed, shape, only(shuffle=1, windows=700))
    corrupted, target = apply(cube, parameters)
    expected = slow.shuffle(cube, slices(parameters.windows), order_of(seed))
    assert np.array_equal(corrupted, expected)
    assert np.array_equal(target, cube)
    assert (corrupted != cube).any() == (max(shape) >= 20)


def test_every_order_of_a_window_is_equally_likely():
    cube = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 6
    windows = np.array([[0, 0, 0, 1, 1, 3], [0, 1, 0, 1, 1, 3]], dtype=np.int32)
    orders = [apply(cube, drawn(seed=seed, windows=windows))[0] for seed in range(6000)]
    for row in range(2):
        counts = Counter(tuple(order[0, row]) for order in orders)
        assert len(counts) == 6
        for count in counts.values():
            assert_share(count, 6000, 1 / 6)
    same = sum(np.array_equal(np.argsort(o[0, 0]), np.argsort(o[0, 1])) for o in orders)
    assert_share(same, 6000, 1 / 6)


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_map_intensity(seed, increasing):
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 2, (2, 2)).astype(float)  # the steepest curves
    controls = edges if seed < 3 else rng.random((2, 2))
    cube = rng.random((16, 16, 16), dtype=np.float32)
    cube[0, 0, :6] = 0, 1, 1e-9, 1 - 6e-8, 0.5, 2e-7
    corrupted, target = apply(cube, drawn(controls=controls, increasing=increasing))
    assert np.abs(corrupted - slow.map_intensity(cube, controls, increasing)).max() < 1e-6
    assert corrupted[0, 0, :2].tolist() == ([0, 1] if increasing else [1, 0])
    steps = np.diff(corrupted.ravel()[np.argsort(cube.ravel())])
    assert (steps >= 0).all() if increasing else (steps <= 0).all()
    assert np.array_equal(target, cube)


@pytest.mark.parametrize("shape", SIZES + SMALL_SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_painting(shape, seed):
    cube, random = cube_of(shape), noise(seed, shape)
    inside = draw(seed, shape, only(paint=1, in_paint=1))
    boxes = slices(inside.boxes)
    assert np.array_equal(apply(cube, inside)[0], slow.in_paint(cube, boxes, lambda box: random[box]))
    outside = draw(seed, shape, only(paint=1, in_paint=0))
    corrupted, target = apply(cube, outside)
    assert np.array_equal(corrupted, slow.out_paint(cube, slices(outside.boxes), random))
    assert np.array_equal(target, cube)


@pytest.mark.parametrize("shape", [(64, 64, 32), (48, 48, 16)])
def test_corrupt_is_draw_and_apply(shape):
    cubes = np.stack([cube_of(shape, seed) for seed in range(8)])
    before = cubes.copy()
    corrupted, target = corrupt(cubes, range(8))
    assert np.array_equal(cubes, before)
    for i, cube in enumerate(cubes):
        one, clean = apply(cube, draw(i, shape))
        assert np.array_equal(corrupted[i], one)
        assert np.array_equal(target[i], clean)
        assert np.array_equal(clean, slow.flip(cube, draw(i, shape).flips))


PINNED = (2835245026, 1462165078)


def test_corruption_of_known_seeds():
    """Pinned, so that a change of the random numbers or of another machine's arithmetic does not go unseen."""
    cubes = np.linspace(0, 1, 4 * 32 * 32 * 16, dtype=np.float32).reshape(4, 32, 32, 16)
    corrupted, target = corrupt(cubes, [1, 2, 3, 2**64 - 1])
    assert (zlib.crc32(corrupted.tobytes()), zlib.crc32(target.tobytes())) == PINNED


def test_parts_that_do_not_happen_change_nothing():
    cubes = cube_of((3, 16, 16, 8))
    corrupted, target = corrupt(cubes, [1, 2, 3], NOTHING)
    assert np.array_equal(corrupted, cubes)
    assert np.array_equal(target, cubes)


def test_a_part_does_not_depend_on_the_chances_of_the_others():
    whole, part = draw(5, (32, 32, 16), Corruption(shuffle=1, paint=1)), draw(5, (32, 32, 16), only(paint=1))
    assert len(part.windows) == 0
    assert np.array_equal(whole.boxes, part.boxes)


def test_order_of_the_parts():
    """Painted noise is not mapped, and shuffling comes before the map: with all parts, each voxel tells."""
    cube, always = cube_of((40, 40, 20)), Corruption(shuffle=1, intensity=1, paint=1, in_paint=0, windows=50)
    parameters = draw(9, cube.shape, always)
    flipped = slow.flip(cube, parameters.flips)
    expected = slow.shuffle(flipped, slices(parameters.windows), order_of(9))
    expected = slow.map_intensity(expected, parameters.controls, parameters.increasing)
    expected = slow.out_paint(expected, slices(parameters.boxes), noise(9, cube.shape))
    assert np.abs(apply(cube, parameters)[0] - expected).max() < 1e-6


# Batches, items, errors


@pytest.mark.parametrize("shape", SIZES + SMALL_SIZES)
def test_any_size(shape):
    corrupted, target = corrupt(np.stack([cube_of(shape)] * 4), range(4))
    assert corrupted.shape == target.shape == (4, *shape)
    assert corrupted.min() >= 0
    assert corrupted.max() <= 1


def test_strided_and_double_precision_input():
    cube = cube_of((2, 8, 16, 16)).transpose(0, 3, 2, 1)
    assert np.array_equal(corrupt(cube, [1, 2])[0], corrupt(cube.copy(), [1, 2])[0])
    assert np.array_equal(corrupt(cube.astype(float), [1, 2])[0], corrupt(cube, [1, 2])[0])


def test_items_are_plain_tensors_and_the_input_stays():
    cube = MetaTensor(torch.rand(1, 16, 16, 8))
    before = cube.clone()
    transform = GenesisCorruptiond(corruption=Corruption(shuffle=1, paint=1))
    item = transform.set_random_state(seed=4)({"image": cube, "case": "a"})
    assert set(item) == {"image", "target", "case"}
    assert torch.equal(cube, before)
    for key in ("image", "target"):
        assert type(item[key]) is torch.Tensor
        assert item[key].dtype == torch.float32
        assert item[key].shape == (1, 16, 16, 8)
        assert item[key].is_contiguous()
    again = transform.set_random_state(seed=4)({"image": cube})
    assert torch.equal(again["image"], item["image"])
    assert not torch.equal(transform({"image": cube})["image"], item["image"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # two workers, also on one processor
def test_loader_workers_give_the_same_batches():
    data = [{"image": torch.rand(1, 16, 16, 8)} for _ in range(4)]
    dataset = SeededDataset(data, Compose([GenesisCorruptiond()]), seed=1)
    batches = {}
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_size=2, num_workers=workers)
        batches[workers] = [torch.stack([batch["image"], batch["target"]]) for batch in loader]
    assert all(torch.equal(a, b) for a, b in zip(batches[0], batches[2], strict=True))


@pytest.mark.parametrize(
    ("cubes", "seeds", "message"),
    [
        (np.zeros((2, 4, 4)), [0, 1], "shape"),
        (np.zeros((0, 4, 4, 4)), [], "shape"),
        (np.full((1, 4, 4, 4), -1000.0), [0], "-1000"),
        (np.full((1, 4, 4, 4), np.nan), [0], "nan"),
        (np.zeros((2, 4, 4, 4)), [0], "one each"),
        (np.zeros((1, 4, 4, 4)), [-1], "whole numbers"),
        (np.zeros((1, 4, 4, 4)), ["a"], "whole numbers"),
    ],
)
def test_bad_cubes_and_seeds(cubes, seeds, message):
    with pytest.raises(InputError, match=message):
        corrupt(cubes, seeds)


def test_bad_chances_and_items():
    with pytest.raises(InputError, match=r"flip is 1\.5"):
        Corruption(flip=1.5)
    with pytest.raises(InputError, match="windows is -1"):
        Corruption(windows=-1)
    with pytest.raises(InputError, match="shape"):
        GenesisCorruptiond()({"image": torch.zeros(8, 8, 8)})


def test_channels_are_corrupted_at_the_same_places_each_by_its_own_map():
    one = np.random.default_rng(3).random((1, 24, 24, 20), dtype=np.float32)
    twice = np.concatenate([one, one])
    whole = corrupt_channels(twice, 5)
    alone = corrupt(one, [5])
    for both, single in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(both[0], single[0])
    moved, target = corrupt_channels(twice, 5, Corruption(shuffle=1, intensity=0, paint=0))
    np.testing.assert_array_equal(moved[0], moved[1])  # flips and windows, with the order of their voxels
    assert (moved != target).any()
    mapped, _ = corrupt_channels(twice, 5, Corruption(flip=0, shuffle=0, intensity=1, paint=0))
    assert (mapped[0] != mapped[1]).mean() > 0.9
    for in_paint in (0, 1):
        painted, target = corrupt_channels(twice, 5, Corruption(shuffle=0, intensity=0, paint=1, in_paint=in_paint))
        changed = painted != target
        np.testing.assert_array_equal(changed[0], changed[1])
        assert (painted[0] != painted[1])[changed[0]].all()  # noise of each channel's own


def test_parameters_for_another_cube_are_refused():
    with pytest.raises(InputError, match="window was drawn for a larger cube"):
        apply(cube_of((16, 16, 8)), draw(0, (64, 64, 32), only(shuffle=1)))
    box = np.array([[-1, 0, 0, 2, 2, 2]], dtype=np.int32)
    with pytest.raises(InputError, match="box starts below 0"):
        apply(cube_of((16, 16, 8)), drawn(painting=IN_PAINTING, boxes=box))
