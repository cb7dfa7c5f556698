"""Random cubes: borders, the tissue rule, padding."""

import doctest

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader

from segxfer3d.augment import cubes as module
from segxfer3d.augment.cubes import CropRule, RandCubed, sample_cubes, sample_starts, tissue_score
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError

SMALL = CropRule(border=(3, 4, 2), max_tissue=0.15, tissue=0.425)
SIZE = (8, 8, 6)


def slow_score(volume, start, size, threshold):
    """The rule as it is told: voxel by voxel, looking at the next two slices."""
    total = 0.0
    x0, y0, z0 = start
    for x in range(x0, x0 + size[0]):
        for y in range(y0, y0 + size[1]):
            for z in range(z0, z0 + size[2]):
                k = 2
                for ahead in range(3):
                    if z + ahead < volume.shape[2] and volume[x, y, z + ahead] >= threshold:
                        k = ahead
                        break
                total += 1 - k / 2
    return total / np.prod(size)


def chest(shape=(40, 36, 30), seed=0):
    """Half of it tissue, the other half air with a few bright voxels."""
    volume = np.random.default_rng(seed).random(shape, dtype=np.float32) ** 12
    volume[shape[0] // 2 :] += 0.5
    return volume.clip(0, 1)


def test_doctest():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("start", [(0, 0, 0), (3, 2, 1), (5, 4, 7), (5, 4, 6)])
@pytest.mark.parametrize("threshold", [0.1, 0.7, 0.99])
def test_tissue_score_by_counting(start, threshold):
    volume = np.random.default_rng(0).random((10, 9, 12), dtype=np.float32)  # the third start reaches the end
    size = (5, 5, 5)
    assert tissue_score(volume, start, size, threshold) == pytest.approx(slow_score(volume, start, size, threshold))


def test_tissue_score_of_single_voxels():
    column = np.zeros((1, 1, 6), np.float32)
    column[0, 0, 3] = 1
    scores = [tissue_score(column, (0, 0, z), (1, 1, 1), 0.5) for z in range(6)]
    assert scores == [0, 0, 0.5, 1, 0, 0]


def test_the_published_rule():
    rule = CropRule.for_window(-1000, 1000)
    assert rule.tissue == pytest.approx(0.425)
    assert (rule.border, rule.max_tissue, rule.draws_per_cube) == ((100, 100, 30), 0.15, 50)
    assert rule.starts((512, 512, 133), (64, 64, 32)) == [(100, 348), (100, 348), (30, 71)]
    assert rule.starts((512, 512, 92), (64, 64, 32)) == [(100, 348), (100, 348), (30, 30)]
    assert rule.starts((512, 512, 91), (64, 64, 32)) is None
    assert rule.starts((263, 512, 133), (64, 64, 32)) is None


@pytest.mark.parametrize("low", [-1000, -1024, -1350])
def test_a_voxel_at_the_threshold_is_tissue_after_scaling(low):
    rule, high = CropRule.for_window(low, 1000), 1000
    hu = np.array([-151, -150, -149], dtype=np.float32)
    for scaled in ((hu - low) / (high - low), (hu - low) * np.float32(1 / (high - low))):
        assert [tissue_score(v.reshape(1, 1, 1), (0, 0, 0), (1, 1, 1), rule.tissue) for v in scaled] == [0, 1, 1]


def test_a_window_without_the_threshold_is_refused():
    with pytest.raises(InputError, match="-150 HU inside"):
        CropRule.for_window(-100, 400)


def test_starts_keep_their_distance_and_are_equally_likely():
    starts = sample_starts(np.zeros((20, 22, 18), np.float32), SIZE, SMALL, 6000, np.random.default_rng(0))
    first, last = np.array([3, 4, 2]), np.array([20 - 3 - 8, 22 - 4 - 8, 18 - 2 - 6])
    for axis in range(3):
        counts = np.bincount(starts[:, axis])[first[axis] :]
        assert len(counts) == last[axis] - first[axis] + 1
        chance = 1 / len(counts)
        assert np.abs(counts - 6000 * chance).max() < 5 * np.sqrt(6000 * chance * (1 - chance))


def test_exactly_the_crops_within_the_limit_are_accepted():
    volume = chest()
    candidates = np.argwhere(np.ones([n - s + 1 for n, s in zip(volume.shape, SIZE, strict=True)]))[::97]
    rule = CropRule(max_tissue=0.3)
    accepted = module._accept(volume, candidates, SIZE, rule, len(candidates))
    scores = [slow_score(volume, start, SIZE, rule.tissue) for start in candidates]
    assert accepted.tolist() == [i for i, score in enumerate(scores) if score <= 0.3]
    assert 20 < len(accepted) < len(candidates) - 20
    assert module._accept(volume, candidates, SIZE, rule, 3).tolist() == accepted[:3].tolist()


def test_a_score_at_the_limit_is_accepted():
    volume = np.zeros((10, 10, 2), np.float32)
    volume[:3, :5, 0] = 1  # 15 of 100
    found = sample_starts(volume, (10, 10, 1), CropRule(border=(0, 0, 0)), 4, np.random.default_rng(0))
    volume[3, 0, 0] = 1
    assert (found[:, 2] == 0).any()
    found = sample_starts(volume, (10, 10, 1), CropRule(border=(0, 0, 0)), 4, np.random.default_rng(0))
    assert (found[:, 2] == 1).all()


def test_sampling_gives_up_and_keeps_what_it_found():
    rng = np.random.default_rng(0)
    full = np.ones((30, 30, 30), np.float32)
    cubes, starts = sample_cubes(full, SIZE, SMALL, 4, rng)
    assert cubes.shape == (0, *SIZE)
    assert starts.shape == (0, 3)
    assert len(sample_cubes(np.zeros((13, 30, 30), np.float32), SIZE, SMALL, 4, rng)[0]) == 0
    few = sample_starts(chest(), SIZE, CropRule((0, 0, 0), 0.15, draws_per_cube=2), 200, rng)
    assert 0 < len(few) < 200


def test_sampled_cubes_are_the_crops_at_their_starts():
    volume = chest()
    cubes, starts = sample_cubes(volume, SIZE, SMALL, 8, np.random.default_rng(0))
    assert cubes.shape == (8, *SIZE)
    for cube, (x, y, z) in zip(cubes, starts, strict=True):
        assert np.array_equal(cube, volume[x : x + 8, y : y + 8, z : z + 6])
        assert slow_score(volume, (x, y, z), SIZE, SMALL.tissue) <= 0.15


def test_uniform_crops_reach_both_ends():
    starts = sample_starts(np.zeros((10, 8, 3)), (8, 8, 8), None, 500, np.random.default_rng(0))
    assert np.unique(starts[:, 0]).tolist() == [0, 1, 2]
    assert (starts[:, 1:] == 0).all()


def test_small_volumes_lie_in_the_middle_of_zeros():
    volume = np.full((1, 6, 20, 5), 0.7, np.float32)
    cube = RandCubed((8, 8, 8)).set_random_state(0)({"image": volume})["image"]
    assert cube.shape == (1, 8, 8, 8)
    assert float(cube[0, 1:7, :, 1:6].min()) == pytest.approx(0.7)
    assert float(cube.sum()) == pytest.approx(0.7 * 6 * 8 * 5, rel=1e-5)


def test_items_are_copies_as_plain_tensors():
    volume = MetaTensor(torch.from_numpy(chest())[None])
    before = volume.clone()
    item = RandCubed(SIZE, SMALL).set_random_state(0)({"image": volume, "case": "a"})
    assert type(item["image"]) is torch.Tensor
    assert item["image"].dtype == torch.float32
    assert item["image"].is_contiguous()
    assert item["case"] == "a"
    item["image"].zero_()
    assert torch.equal(volume, before)


@pytest.mark.parametrize("rule", [None, SMALL])
def test_the_same_state_gives_the_same_cube(rule):
    volume = torch.rand(1, 20, 20, 20) * 0.4
    transform = RandCubed((8, 8, 8), rule)
    first = transform.set_random_state(5)({"image": volume})["image"]
    assert torch.equal(transform.set_random_state(5)({"image": volume})["image"], first)
    assert not torch.equal(transform.set_random_state(6)({"image": volume})["image"], first)


def test_a_crop_under_the_rule_or_the_emptiest_or_any():
    volume = chest()
    transform = RandCubed(SIZE, SMALL).set_random_state(0)
    scores = [slow_score(volume, transform.randomize(volume), SIZE, SMALL.tissue) for _ in range(50)]
    assert max(scores) <= 0.15
    impossible = CropRule(SMALL.border, max_tissue=0.0)
    emptiest = RandCubed(SIZE, impossible).set_random_state(0).randomize(volume + 0.01)
    assert slow_score(volume, emptiest, SIZE, SMALL.tissue) < 0.3
    short = np.zeros((9, 8, 6), np.float32)
    assert transform.randomize(short)[1:].tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # two workers, also on one processor
def test_loader_workers_give_the_same_cubes():
    data = [{"image": torch.from_numpy(chest(seed=seed))[None]} for seed in range(3)]
    dataset = SeededDataset(data, RandCubed(SIZE, SMALL), seed=0, length=8)
    batches = [
        [batch["image"] for batch in DataLoader(dataset, batch_size=2, num_workers=workers)] for workers in (0, 2)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_volumes_of_another_form_are_refused():
    with pytest.raises(InputError, match=r"expected \(channels, x, y, z\)"):
        RandCubed(SIZE)({"image": torch.zeros(8, 8, 8)})


def test_all_channels_are_cropped_at_one_place():
    first = torch.arange(10 * 9 * 8, dtype=torch.float32).view(10, 9, 8)
    cube = RandCubed((4, 4, 4)).set_random_state(2)({"image": torch.stack([first, -first])})["image"]
    assert cube.shape == (2, 4, 4, 4)
    assert torch.equal(cube[1], -cube[0])
    alone = RandCubed((4, 4, 4)).set_random_state(2)({"image": first[None]})["image"]
    assert torch.equal(cube[:1], alone)
