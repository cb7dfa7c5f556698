"""Whole batches: the same as patch by patch, with whole tensors too."""

import dataclasses

import numpy as np
import pytest
import torch

from segxfer3d.augment import patch_batches
from segxfer3d.augment.augmentation import CHANCES, Augmentation
from segxfer3d.augment.patch_batches import BatchAugmentation
from segxfer3d.augment.patch_draws import CONTROLS, spline_weights
from segxfer3d.errors import InputError
from tests.augment import slow_patches as slow

MOST = Augmentation(**dict.fromkeys(CHANCES, 0.8))
QUIET = dataclasses.replace(MOST, noise=0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_of(shape, number=6, channels=2, classes=2):
    random = generator()
    image = torch.randn((number, channels, *shape), generator=random) * 3 + 1
    label = (torch.rand((number, classes, *shape), generator=random) < 0.3).to(torch.uint8)
    return {"image": image, "label": label, "valid": torch.ones_like(label[:, :1]), "index": torch.arange(number)}


@pytest.mark.parametrize(("shape", "size"), [((20, 16, 24), (16, 12, 20)), ((26, 20), (20, 24))])
def test_whole_tensors_do_what_the_compiled_loops_do(shape, size, monkeypatch):
    batch, augment = batch_of(shape), BatchAugmentation(size, QUIET)
    drawn = augment.draw(batch["image"], generator(1))
    compiled = augment.apply(batch, drawn)
    monkeypatch.setattr(patch_batches, "_compiled", patch_batches._tensors)
    tensors = augment.apply(batch, drawn)
    assert list(compiled) == list(tensors) == ["image", "label", "valid", "index"]
    assert compiled["image"].shape == (6, 2, *size)
    torch.testing.assert_close(compiled["image"], tensors["image"], atol=2e-3, rtol=1e-4)
    for key in ("label", "valid"):
        assert compiled[key].dtype == tensors[key].dtype == torch.uint8
        assert (compiled[key] == tensors[key]).float().mean() > 0.999


def test_noise_of_tensors_is_as_strong_as_said(monkeypatch):
    monkeypatch.setattr(patch_batches, "_compiled", patch_batches._tensors)
    noisy = dataclasses.replace(Augmentation.none(), noise=1.0)
    batch, augment = batch_of((32, 32, 32)), BatchAugmentation((32, 32, 32), noisy)
    drawn = augment.draw(batch["image"], generator())
    noise = augment.apply(batch, drawn)["image"] - batch["image"]
    expected = batch["image"].std((2, 3, 4), correction=0) * torch.tensor([draw.noise for draw in drawn])[:, None]
    torch.testing.assert_close(noise.std((2, 3, 4)), expected.float(), atol=0, rtol=0.03)


def test_without_changes_a_batch_is_its_middle():
    batch = batch_of((20, 11))
    result = BatchAugmentation((16, 14), Augmentation.none())(batch)
    assert torch.equal(result["image"][..., 1:12], batch["image"][..., 2:18, :])
    assert torch.equal(result["label"][..., 1:12], batch["label"][..., 2:18, :])
    assert not result["image"][..., 12:].any()
    assert not result["valid"][..., 0].any()


def test_batches_repeat_by_seed_and_items_differ():
    batch = batch_of((16, 16))
    batch["image"][1:] = batch["image"][:1]
    augment = BatchAugmentation((16, 16), MOST)
    first, again, other = (augment(batch, generator(seed))["image"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(5)
    default = augment(batch)["image"]
    torch.manual_seed(5)
    assert torch.equal(augment(batch)["image"], default)


def test_batches_of_bytes_without_labels():
    image = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8, generator=generator())
    result = BatchAugmentation((12, 12), Augmentation.none())({"image": image, "content": image})
    assert list(result) == ["image"]
    torch.testing.assert_close(result["image"], image / 255)


def test_weights_of_the_spline_are_the_slow_ones():
    points = np.random.default_rng(0).normal(size=(CONTROLS, CONTROLS, 3, CONTROLS))
    size = (9, 1, 14)
    weights = [spline_weights(side) for side in size]
    field = np.einsum("xi,yj,zk,ijak->axyz", *weights, points)
    np.testing.assert_allclose(field, slow.spline(points, size), atol=1e-5)


def test_what_does_not_fit_is_refused():
    batch = batch_of((16, 16))
    with pytest.raises(InputError, match="BatchAugmentation: label has shape"):
        BatchAugmentation((16, 16), MOST)({**batch, "label": batch["label"][..., 1:]})
    with pytest.raises(InputError, match="BatchAugmentation: got images of shape"):
        BatchAugmentation((16, 16, 16), MOST)(batch)
