"""Patches of the recipe paper are those of MONAI's pipeline, bit for bit, however volumes and labels are shaped."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SelectItemsd,
    SpatialPadd,
)

from segxfer3d.augment.paper_patches import KEYS, PaperPatches
from segxfer3d.augment.stored_masks import stored_masks

PLAIN = ("image", "label")


def monai_patches(size, share, keys=PLAIN):
    """The slow, obvious way."""
    crop = RandCropByPosNegLabeld(keys, "label", size, pos=share, neg=1 - share, num_samples=1, allow_smaller=True)
    return Compose(
        [
            SpatialPadd(keys, size),
            crop,
            lambda patches: {key: value.as_tensor() for key, value in patches[0].items() if key in keys},
            *(RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandScaleIntensityd("image", factors=0.1, prob=0.5),
            RandShiftIntensityd("image", offsets=0.05, prob=0.5),
            SelectItemsd(keys),
        ],
        map_items=False,
    )


def item(shape, classes, seed=0):
    rng = np.random.default_rng(seed)
    label = np.stack([rng.random(shape) < 0.01 for _ in range(classes)])
    return {
        "image": torch.from_numpy(rng.random((1, *shape), dtype=np.float32)),
        "label": torch.from_numpy(label.astype(np.float32)),
        "case": "a",
    }


@pytest.mark.parametrize(
    ("shape", "size", "classes"),
    [
        ((20, 18, 10), (8, 8, 8), 1),
        ((20, 18, 10), (7, 9, 10), 1),
        ((20, 18, 10), (8, 8, 4), 3),
        ((9, 18, 5), (16, 9, 8), 1),
        ((5, 6, 7), (8, 9, 10), 2),
        ((8, 8, 8), (8, 8, 8), 1),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_patches_are_monais(shape, size, classes, share):
    fast, slow, data = PaperPatches(size, share), monai_patches(size, share), item(shape, classes)
    for seed in range(12):
        fast.set_random_state(seed=seed)
        slow.set_random_state(seed=seed)
        for _ in range(2):  # streams go on alike
            made, expected = fast(data), slow(data)
            for key in PLAIN:
                assert type(made[key]) is torch.Tensor
                assert made[key].is_contiguous()
                assert torch.equal(made[key], expected[key].as_tensor())


def test_axes_that_are_not_turned_around_change_nothing_else():
    free, held, data = PaperPatches((8, 8, 4), 0.5), PaperPatches((8, 8, 4), 0.5, mirror_axes=(1,)), item((9, 9, 9), 1)
    turned = set()
    for seed in range(12):
        drawn, other = (each.set_random_state(seed).randomize(data["label"]) for each in (free, held))
        assert other == replace(drawn, flips=tuple(axis for axis in drawn.flips if axis == 1))
        turned |= set(drawn.flips)
    assert turned == {0, 1, 2}


def test_what_is_not_valid_is_cut_and_flipped_along():
    data = item((9, 18, 5), 1)
    data["valid"] = 1.0 - data["label"]  # what is a label is ignored: the two stay opposites
    fast, slow = PaperPatches((16, 9, 8), 1.0), monai_patches((16, 9, 8), 1.0, KEYS)
    for seed in range(8):
        made, expected = (patches.set_random_state(seed=seed)(data) for patches in (fast, slow))
        assert all(torch.equal(made[key], expected[key].as_tensor()) for key in KEYS)
        assert not (made["valid"] * made["label"]).any()
        assert not made["valid"][made["image"] == 0].any()  # the padding is not valid


@pytest.mark.filterwarnings("ignore:Num foregrounds")
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_label_that_is_empty_or_full(value):
    data = item((10, 12, 6), 1)
    data["label"].fill_(value)
    fast, slow = PaperPatches((8, 8, 4), 0.5), monai_patches((8, 8, 4), 0.5)
    for seed in range(6):
        made, expected = (patches.set_random_state(seed=seed)(data) for patches in (fast, slow))
        assert torch.equal(made["image"], expected["image"].as_tensor())


def test_items_stay_and_metadata_is_left_behind():
    data = {key: MetaTensor(value) if key in KEYS else value for key, value in item((12, 12, 8), 1).items()}
    before = {key: data[key].clone() for key in PLAIN}
    patches = PaperPatches((8, 8, 8), 0.5)
    for seed in range(8):
        made = patches.set_random_state(seed=seed)(data)
        assert all(type(value) is torch.Tensor for value in made.values())
        made["image"].zero_()
        made["label"].zero_()
    assert all(torch.equal(data[key], before[key]) for key in PLAIN)


def test_labels_are_counted_once_and_forgotten_with_their_items():
    patches = PaperPatches((8, 8, 8), 0.5)
    for seed in range(5):
        data = item((12, 12, 8), 1, seed)
        patches(data)
        patches(data)
    assert len(patches._counted) <= 2
    for again in (copy.deepcopy(patches), pickle.loads(pickle.dumps(patches))):
        assert torch.equal(
            again.set_random_state(seed=3)(data)["image"], patches.set_random_state(seed=3)(data)["image"]
        )


def ignored_item(shape=(30, 12, 10)):
    """Values of which 3 is ignored: nearly all; with the masks as a tensor each and as they lie on disk."""
    values = np.full(shape, 3, np.uint8)
    values[25:28, 2:5, 4:6], values[26, 3, 4] = 0, 1
    masks = stored_masks(values, [frozenset({1}), frozenset({2}), frozenset({0, 1, 2})])
    image = torch.from_numpy(np.random.default_rng(0).random((1, *shape), dtype=np.float32))
    label = torch.from_numpy(np.stack([values == 1, values == 2]).astype(np.float32))
    plain = {"image": image, "label": label, "valid": torch.from_numpy((values != 3).astype(np.float32))[None]}
    return plain, {"image": image, "label": masks.part(0, 2), "valid": masks.part(2, 3)}


@pytest.mark.parametrize("size", [(4, 4, 4), (33, 4, 12)])
def test_other_patches_than_those_on_foreground_lie_around_a_voxel_that_counts(size):
    plain, stored = ignored_item()
    patches = PaperPatches(size, 0.5)
    centers = set()
    for seed in range(40):
        start = patches.set_random_state(seed=seed).randomize(plain["label"], plain["valid"]).start
        assert start == patches.set_random_state(seed=seed).randomize(stored["label"], stored["valid"]).start
        centers.add(start)
        patch = patches.set_random_state(seed=seed)(plain)
        assert patch["valid"].any()
    assert len(centers) > (5 if size == (4, 4, 4) else 1)


def test_where_nothing_counts_patches_lie_anywhere():
    plain, _ = ignored_item()
    plain["valid"].zero_()
    plain["label"].zero_()
    assert len({PaperPatches((4, 4, 4), 0.5).set_random_state(seed).randomize(plain["label"], plain["valid"]).start
                for seed in range(9)}) == 9  # fmt: skip
