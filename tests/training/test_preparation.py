"""What is made ready before a step: networks on their device, batches of images, whole cases."""

import dataclasses

import pytest
import torch
from torch import nn

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.errors import InputError
from segxfer3d.losses import make_loss
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.training.preparation import ImagePreparation, prepare_patches, to_training
from tests.pretexts.stand_ins import network, views

CPU = torch.device("cpu")


def images(*keys):
    generator = torch.Generator().manual_seed(0)
    batch = {
        "image": torch.randint(0, 256, (3, 3, 8, 8), generator=generator, dtype=torch.uint8),
        "label": torch.randint(0, 2, (3, 1, 8, 8), generator=generator, dtype=torch.uint8),
        "valid": torch.randint(0, 2, (3, 1, 8, 8), generator=generator, dtype=torch.uint8),
        "case": ["a", "b", "c"],
    }
    return {key: batch[key] for key in keys or batch}


def test_images_and_what_counts_of_their_labels():
    batch = images()
    shown, target = ImagePreparation([8, 8])(batch, CPU, non_blocking=True)
    torch.testing.assert_close(shown, batch["image"].float() / 255)
    assert torch.equal(target, torch.cat([batch["label"], batch["valid"]], 1))
    small, target = ImagePreparation([4, 4])(batch, CPU)
    assert small.shape[2:] == target.shape[2:] == (4, 4)


def test_everything_counts_where_nothing_is_said():
    batch = images("image", "label", "case")
    _, target = ImagePreparation([8, 8])(batch, CPU)
    assert torch.equal(target[:, :1], batch["label"])
    assert (target[:, 1:] == 1).all()


def test_augmentation_is_drawn_from_torch():
    batch, augment = images(), ImagePreparation([8, 8], augment=True)
    torch.manual_seed(0)
    first, second = augment(batch, CPU), augment(batch, CPU)
    assert not torch.equal(first[0], second[0])
    torch.manual_seed(0)
    for tensor, expected in zip(augment(batch, CPU), first, strict=True):
        assert torch.equal(tensor, expected)


def test_another_augmentation_takes_the_place_of_crops_and_flips():
    batch = images()
    mirrored = ImagePreparation([8, 8], True, dataclasses.replace(Augmentation.none(), mirror=1.0))
    shown, target = mirrored(batch, CPU)
    torch.testing.assert_close(shown, batch["image"].flip(2, 3).float() / 255)
    assert torch.equal(target, torch.cat([batch["label"], batch["valid"]], 1).flip(2, 3))


def patches(*keys):
    """Two patches of volumes, of whose upper halves nothing is known."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (2, 1, 4, 4, 6), generator=generator).float()
    valid = torch.ones(2, 1, 4, 4, 6, dtype=torch.bool)
    valid[..., 3:] = False
    batch = {"image": torch.rand(2, 1, 4, 4, 6, generator=generator), "label": label, "valid": valid}
    return {key: batch[key] for key in keys or batch}


def test_patches_of_which_all_counts_are_as_monai_takes_them():
    batch = patches("image", "label")
    image, target = prepare_patches(batch, CPU, True)
    assert torch.equal(image, batch["image"])
    assert torch.equal(target, batch["label"])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", ["dice", "dice_ce"])
def test_patches_teach_by_what_counts_of_them(name, activation):
    batch = patches()
    _, target = prepare_patches(batch, CPU)
    assert torch.equal(target, torch.cat([batch["label"], batch["valid"].float()], 1))
    logits = torch.randn(2, 1 + (activation == "softmax"), 4, 4, 6, generator=torch.Generator().manual_seed(1))
    logits.requires_grad_()
    loss = make_loss(name, activation=activation)
    found = loss(logits, target)
    torch.testing.assert_close(found, loss(logits[..., :3], batch["label"][..., :3]))  # as if there were no other half
    found.backward()
    assert (logits.grad[..., 3:] == 0).all()
    assert (logits.grad[..., :3] != 0).all()


@pytest.mark.parametrize(("channels_last", "strides"), [(True, (27, 1, 9, 3)), (False, (27, 9, 3, 1))])
def test_the_layout_of_weights(channels_last, strides):
    prepared = to_training(nn.Conv2d(3, 4, 3), device=CPU, channels_last=channels_last)
    assert prepared.weight.stride() == strides


def test_a_pretext_says_which_batch_is_too_small():
    pretext = SimCLR(network(), views)
    assert to_training(pretext, device=CPU, batch_size=2) is pretext
    with pytest.raises(InputError, match="batch_size: SimCLR needs at least 2"):
        to_training(pretext, device=CPU, batch_size=1)
