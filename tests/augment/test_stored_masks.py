"""Masks on disk give what masks in memory give: voxels, patches and the patches' random numbers."""

import numpy as np
import pytest
import torch

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.indexed_label import IndexedLabel
from segxfer3d.augment.patches import labeled_patches, training_patches
from segxfer3d.augment.stored_masks import StoredMasks, stored_masks
from segxfer3d.errors import InputError

SHAPE = (7, 6, 5)
# values of a label file -> the channels that are on, as somebody would write them down: two classes that overlap in
# value 5, and what counts (all but 9)
SETS = [frozenset({2, 5}), frozenset({4, 5}), frozenset({0, 2, 4, 5})]


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(1).choice([0, 0, 0, 2, 4, 5, 9], SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def one_hot(values):
    return np.stack([np.isin(values, [*of_channel]) for of_channel in SETS]).astype(np.float32)


def test_channels_of_any_place_are_those_of_the_values(values, one_hot):
    masks = stored_masks(values, SETS)
    assert masks.index.dtype == np.uint8
    assert masks.shape == (3, *SHAPE)
    for place in (np.s_[:, :], np.s_[:, 3], np.s_[:, 1:4, :, 2:], np.s_[:, 2:3, 1, 4]):
        assert torch.equal(masks[place], torch.from_numpy(one_hot[place]))
    assert torch.equal(masks.part(1, 3)[:, 2:5], torch.from_numpy(one_hot[1:3, 2:5]))


def test_planes_are_counted(values, one_hot):
    masks = stored_masks(values, SETS)
    for k in range(3):
        assert masks.counts(k).tolist() == one_hot[k].sum((1, 2)).tolist()
    either = (one_hot[0] + one_hot[1] > 0).sum((1, 2))
    assert masks.counts(0, 1).tolist() == either.tolist()
    assert masks.part(1, 3).counts(0).tolist() == one_hot[1].sum((1, 2)).tolist()
    assert [stored_masks(np.zeros(SHAPE), SETS).shows(k) for k in range(3)] == [False, False, True]


def test_a_random_voxel_is_that_of_the_label_in_memory(values, one_hot):
    masks, label = stored_masks(values, SETS), IndexedLabel.of(one_hot)
    for which in np.linspace(0, 0.999, 5):
        for where in np.linspace(0, 0.9999, 40):
            found = masks.random_voxel(which, where, classes=2)
            assert found == label.random_voxel(which, where, classes=2)
            assert one_hot[(slice(2), *found)].any()
            assert masks.voxel_of(2, where) == label.voxel_of(2, where)
    nothing = stored_masks(np.zeros(SHAPE), SETS)
    assert nothing.random_voxel(0.3, 0.3, classes=2) is None
    assert nothing.voxel_of(0, 0.3) is None


def items(values, one_hot):
    """The same case in memory and as from disk."""
    image = torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(2))
    masks = stored_masks(values, SETS)
    memory = {"image": image, "label": torch.from_numpy(one_hot[:2]), "valid": torch.from_numpy(one_hot[2:])}
    return memory, {"image": image, "label": masks.part(0, 2), "valid": masks.part(2, 3)}


@pytest.mark.parametrize("size", [(4, 4, 4), (9, 4, 8)])
@pytest.mark.parametrize("way", ["paper", "strong"])
def test_patches_are_those_of_the_label_in_memory(values, one_hot, size, way):
    memory, disk = items(values, one_hot)
    if way == "paper":
        patches = labeled_patches(size, foreground_share=0.5)
    else:
        patches = training_patches(size, foreground_share=0.5, augmentation=Augmentation())
    for seed in range(12):
        expected = patches.set_random_state(seed)(memory)
        patch = patches.set_random_state(seed)(disk)
        assert patch.keys() == expected.keys()
        for key in patch:
            assert patch[key].dtype == expected[key].dtype
            assert torch.equal(patch[key], expected[key])


def test_one_class_counts_as_foreground_in_the_paper_s_patches(values):
    label = (values == 2).astype(np.float32)[None]
    image = torch.zeros((1, *SHAPE))
    patches = labeled_patches((3, 3, 3), foreground_share=1.0)
    for seed in range(8):
        expected = patches.set_random_state(seed)({"image": image, "label": torch.from_numpy(label)})
        patch = patches.set_random_state(seed)({"image": image, "label": stored_masks(values, [frozenset({2})])})
        assert torch.equal(patch["label"], expected["label"])


def test_many_classes_take_two_bytes():
    values = np.arange(300).reshape(10, 6, 5)
    masks = stored_masks(values, [frozenset({value}) for value in range(1, 300)])
    assert masks.index.dtype == np.uint16
    assert torch.equal(masks[:, 4].argmax(0), torch.from_numpy(values[4] - 1))


def test_only_places_are_asked_for(values):
    masks = stored_masks(values, SETS)
    with pytest.raises(InputError, match="expected all channels of a place"):
        masks[0]
    assert isinstance(masks.part(0, 1), StoredMasks)
