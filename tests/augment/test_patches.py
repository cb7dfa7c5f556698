"""Training patches: their size, what they are centered on, that seeds repeat them."""

import torch

from segxfer3d.augment.patches import labeled_patches


def volume(shape=(20, 18, 10), at=(4, 5, 6)):
    label = torch.zeros(1, *shape)
    label[(0, *at)] = 1
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    return {"image": image, "label": label, "case": "a"}


def test_patches_are_of_the_size_and_the_item_stays():
    item = volume()
    before = {key: item[key].clone() for key in ("image", "label")}
    patch = labeled_patches([8, 8, 8], foreground_share=0.5)(item)
    assert list(patch) == ["image", "label"]
    for value in patch.values():
        assert value.shape == (1, 8, 8, 8)
    assert all(torch.equal(item[key], value) for key, value in before.items())


def test_seeds_repeat_and_calls_differ():
    patches = labeled_patches((8, 8, 8), foreground_share=0.5)
    first = patches.set_random_state(seed=1)(volume())["image"]
    second = patches(volume())["image"]
    assert torch.equal(patches.set_random_state(seed=1)(volume())["image"], first)
    assert not torch.equal(first, second)


def test_share_of_foreground():
    for share, hits in ((1.0, 20), (0.0, 0)):
        patches = labeled_patches((4, 4, 4), foreground_share=share).set_random_state(seed=0)
        found = sum(bool(patches(volume((60, 60, 60), (30, 30, 30)))["label"].any()) for _ in range(20))
        assert found == hits


def test_a_small_volume_is_padded():
    patch = labeled_patches((16, 16, 16), foreground_share=0.5)(volume((10, 16, 4), (1, 1, 1)))
    assert patch["image"].shape == patch["label"].shape == (1, 16, 16, 16)
