"""Each part of the corruption against the slow version on the same parameters, and each draw by its counts."""

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
from segxfer3d.augment import compiled
from segxfer3d.augment import genesis_corruption as module
from segxfer3d.augment.genesis_corruption import (
    IN_PAINTING,
    OUT_PAINTING,
    Corruption,
    Draw,
    GenesisCorruptiond,
    apply,
    corrupt,
    draw,
    noise,
)
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError

NOTHING = Corruption(flip=0, shuffle=0, intensity=0, paint=0)
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


def assert_share(hits, trials, chance):
    """Within 5 standard deviations."""
    assert abs(hits - trials * chance) <= 5 * np.sqrt(trials * chance * (1 - chance)), (hits, trials, chance)


def assert_uniform(values, low, high):
    """Whole numbers from low to high, both included, equally often."""
    assert min(values) >= low
    assert max(values) <= high
    counts = Counter(int(value) for value in values)
    for value in range(low, high + 1):
        assert_share(counts[value], len(values), 1 / (high - low + 1))


# SplitMix64 and what hangs on it, in Python's own whole numbers


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


def test_doctest():
    assert doctest.testmod(module).failed == 0


def test_random_numbers_are_splitmix64():
    assert mix(STEP) == 0xE220A8397B1DCDAF  # the published first output for seed 0
    cube = noise(3, (2, 3, 4)).ravel()
    expected = [(mix((stream(3, 5) + STEP * i) & MASK) >> 40) * 2.0**-24 for i in range(24)]
    assert cube.tolist() == expected


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


def test_noise_is_uniform_and_differs_between_seeds():
    values = np.stack([noise(seed, (64, 64, 32)).ravel() for seed in range(2)])
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values[0], bins=64, range=(0, 1))[0]
    assert np.abs(counts - 2048).max() < 5 * np.sqrt(2048)
    assert np.abs(np.corrcoef(values[:, :-1], values[:, 1:])).max(initial=0, where=~np.eye(4, dtype=bool)) < 0.02


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


# What is drawn

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
    assert_uniform(np.concatenate([d.flips for d in draws]), 0, 2)


def test_the_parts_are_independent(draws):
    parts = [[len(d.flips), len(d.windows) > 0, len(d.controls) > 0, d.increasing, d.painting] for d in draws]
    correlation = np.corrcoef(np.array(parts, dtype=float).T)
    correlation[2, 3] = correlation[3, 2] = 0  # upward only where there is a map
    assert np.abs(correlation - np.eye(5)).max() < 5 / np.sqrt(DRAWS)


def test_control_points_are_uniform(draws):
    controls = np.array([d.controls.ravel() for d in draws if len(d.controls)])
    for column in controls.T:
        assert_uniform(np.floor(column * 10), 0, 9)
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
        assert_uniform(extents, low, high)
        for extent in (low, high):
            assert_uniform(starts[extents == extent], 3, shape[axis] - extent - 3)
    assert np.abs(np.corrcoef(boxes[:, 3:].T) - np.eye(3)).max() < 5 / np.sqrt(len(boxes))


@pytest.mark.parametrize(
    ("shape", "most"), [((64, 64, 32), (6, 6, 3)), ((32, 32, 16), (3, 3, 1)), ((9, 10, 1), (1, 1, 1))]
)
def test_windows(shape, most):
    windows = draw(1, shape, only(shuffle=1)).windows
    assert len(windows) == 10_000
    for axis in range(3):
        starts, sizes = windows[:, axis], windows[:, 3 + axis]
        assert_uniform(sizes, 1, most[axis])
        for size in {1, most[axis]}:
            assert_uniform(starts[sizes == size], 0, shape[axis] - size)


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
        GenesisCorruptiond()({"image": torch.zeros(2, 8, 8, 8)})


def test_parameters_for_another_cube_are_refused():
    with pytest.raises(InputError, match="window was drawn for a larger cube"):
        apply(cube_of((16, 16, 8)), draw(0, (64, 64, 32), only(shuffle=1)))
    box = np.array([[-1, 0, 0, 2, 2, 2]], dtype=np.int32)
    with pytest.raises(InputError, match="box starts below 0"):
        apply(cube_of((16, 16, 8)), drawn(painting=IN_PAINTING, boxes=box))


def test_loops_compile_where_no_cache_folder_can_be_written(monkeypatch):
    options = []

    def njit(**given):
        options.append(given)
        if given.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled.numba, "njit", njit)
    assert compiled.compiled(abs)(-2) == 2
    assert [given.get("cache", False) for given in options] == [True, False]
