"""Training patches: their size, what they are centered on, that seeds repeat them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from segxfer3d.augment import patches
from segxfer3d.augment.augmentation import CHANCES, Augmentation
from segxfer3d.augment.patches import labeled_patches, training_patches
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError

STRONG = Augmentation(**dict.fromkeys(CHANCES, 0.7))
GEOMETRY = Augmentation(
    **{name: 0.8 * (name in ("mirror", "rotate", "scale", "elastic")) for name in CHANCES}, elastic_shift=0.01
)


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


def smooth_case(shape=(40, 44, 36), classes=2):
    """The image tells each class apart: the label of class k is where the image is above k + 1."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in shape), indexing="ij")
    image = 4.2 * torch.exp(-sum((axis - 0.2) ** 2 for axis in axes) * 2)[None]
    return {"image": image, "label": torch.cat([(image > k + 1).float() for k in range(classes)]), "case": "a"}


def test_training_patches_are_of_the_size_and_the_item_stays():
    item = smooth_case()
    before = {key: item[key].clone() for key in ("image", "label")}
    patch = training_patches([16, 12, 20], foreground_share=0.5, augmentation=STRONG)(item)
    assert list(patch) == ["image", "label"]
    assert patch["image"].shape == (1, 16, 12, 20)
    assert patch["label"].shape == (2, 16, 12, 20)
    assert patch["image"].dtype == patch["label"].dtype == torch.float32
    assert set(patch["label"].unique().tolist()) <= {0, 1}
    assert all(torch.equal(item[key], value) for key, value in before.items())


def test_training_patches_repeat_by_their_seed():
    patches, item = training_patches((8, 8, 8), foreground_share=0.5, augmentation=STRONG), smooth_case()
    first = patches.set_random_state(seed=1)(item)
    second = patches(item)
    again = patches.set_random_state(seed=1)(item)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["image"], second["image"])


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_without_changes_a_patch_is_a_piece_of_the_volume(share):
    item, size = smooth_case(), (8, 10, 12)
    for augmentation in (None, Augmentation.none()):
        patches = training_patches(size, foreground_share=share, augmentation=augmentation).set_random_state(seed=3)
        for _ in range(5):
            drawn = patches.draw(item)
            piece = (slice(None), *(slice(s, s + side) for s, side in zip(drawn.start, size, strict=True)))
            patch = patches.apply(item, drawn)
            assert all(torch.equal(patch[key], item[key][piece]) for key in patch)


def test_image_and_label_stay_together():
    item = smooth_case((60, 60, 60))
    patches = training_patches((24, 24, 24), foreground_share=0.8, augmentation=GEOMETRY).set_random_state(seed=0)
    wrong = total = 0
    for _ in range(60):
        patch = patches(item)
        inside = patch["image"][0] > 0.05  # outside the volume both are 0
        for k in range(2):
            differs = (patch["image"][0] > k + 1) != (patch["label"][k] > 0)
            wrong += int((differs & inside).sum())
            total += int(((patch["label"][k] > 0) & inside).sum())
    assert total > 10_000
    assert wrong / total < 0.05  # half a voxel at borders


def test_starts_are_spread_evenly_and_foreground_is_in_the_middle():
    item = smooth_case((20, 21, 30))
    item["label"].zero_()
    item["label"][0, 9, 10, 14] = 1
    anywhere = training_patches((10, 21, 25), foreground_share=0.0).set_random_state(seed=0)
    starts = np.array([anywhere.draw(item).start for _ in range(2000)])
    assert set(starts[:, 0]) == set(range(11))
    assert set(starts[:, 1]) == {0}
    assert np.bincount(starts[:, 2]).min() > 260
    on_foreground = training_patches((10, 10, 10), foreground_share=0.4).set_random_state(seed=0)
    hits = [tuple(on_foreground.draw(item).start) == (4, 5, 9) for _ in range(2000)]
    assert np.mean(hits) == pytest.approx(0.4, abs=0.04)


def test_foreground_at_the_border_and_a_small_volume():
    item = smooth_case((12, 6, 20))
    item["label"].zero_()
    item["label"][1, 0, 0, 19] = 1
    patch = training_patches((10, 10, 10), foreground_share=1.0)(item)
    assert torch.equal(patch["label"][1, :, 2:8], item["label"][1, :10, :, 10:])
    assert not patch["image"][0, :, :2].any()
    assert not patch["image"][0, :, 8:].any()


def test_changing_the_label_in_place_changes_where_patches_lie():
    item = smooth_case((20, 20, 20))
    patches = training_patches((4, 4, 4), foreground_share=1.0)
    for place in (5, 12):
        item["label"].zero_()
        item["label"][0, place, place, place] = 1
        assert patches(item)["label"].sum() == 1


def test_images_of_bytes_with_what_counts():
    random = torch.Generator().manual_seed(0)
    item = {
        "image": torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8, generator=random),
        "label": torch.randint(0, 2, (2, 40, 50), dtype=torch.uint8, generator=random),
        "valid": torch.ones(1, 40, 50, dtype=torch.uint8),
    }
    plain = training_patches((40, 50), foreground_share=0.3)(item)
    assert torch.allclose(plain["image"], item["image"] / 255)
    assert torch.equal(plain["label"], item["label"])
    assert torch.equal(plain["valid"], item["valid"])
    patches = training_patches((48, 64), foreground_share=0.3, augmentation=STRONG)
    patch = patches.set_random_state(seed=0)(item)
    assert patch["image"].shape == (3, 48, 64)
    assert patch["label"].dtype == patch["valid"].dtype == torch.uint8
    assert not patch["valid"].all()
    assert not patch["label"][:, ~patch["valid"][0].bool()].any()


@pytest.mark.parametrize("shape", [(30, 28, 32), (40, 36)])
def test_whole_tensors_make_the_same_patches(shape, monkeypatch):
    item = smooth_case(shape) | {"valid": torch.ones(1, *shape, dtype=torch.uint8)}
    augmentation = replace(STRONG, noise=0.0)
    made = training_patches([16] * len(shape), foreground_share=0.5, augmentation=augmentation).set_random_state(seed=2)
    for _ in range(10):
        drawn = made.draw(item)
        compiled = made.apply(item, drawn)
        with monkeypatch.context() as patched:
            patched.setattr(patches, "_by_loops", lambda _: False)
            tensors = made.apply(item, drawn)
        torch.testing.assert_close(compiled["image"], tensors["image"], atol=2e-3, rtol=1e-3)
        assert (compiled["label"] == tensors["label"]).float().mean() > 0.999
        assert compiled["valid"].dtype == tensors["valid"].dtype == torch.uint8


def test_workers_change_no_patch():
    data = [smooth_case((20, 20, 20)), smooth_case((24, 18, 20))]
    for item in data:
        del item["case"]

    def batches(workers):
        patches = training_patches((8, 8, 8), foreground_share=0.5, augmentation=STRONG)
        patches.prepare(data)
        return [*DataLoader(SeededDataset(data, patches, 3, 8), batch_size=4, num_workers=workers)]

    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert all(torch.equal(alone[key], shared[key]) for key in alone)


@pytest.mark.parametrize(
    ("size", "share", "message"),
    [
        ((8, 8), 0.5, r"\[20, 20, 20\] voxels; expected 2 axes"),
        ((8, 0, 8), 0.5, "expected two or three whole numbers"),
        ((8, 8, 8), 1.5, "foreground_share: expected 0 to 1, got 1.5"),
    ],
)
def test_what_cannot_be_cut_is_refused(size, share, message):
    with pytest.raises(InputError, match=message):
        training_patches(size, foreground_share=share)(smooth_case((20, 20, 20)))


def test_a_label_of_another_shape_is_refused():
    item = smooth_case((20, 20, 20))
    item["label"] = item["label"][:, 1:]
    with pytest.raises(InputError, match=r"and \[19, 20, 20\] voxels; expected 3 axes, alike"):
        training_patches((8, 8, 8), foreground_share=0.5)(item)
