"""A few training steps of which nothing stays."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError
from segxfer3d.losses import make_loss
from segxfer3d.networks.forward import NetworkForward
from segxfer3d.training.loaders import train_loader
from segxfer3d.training.optimization import make_optimizer
from segxfer3d.training.trial import Trial

CPU = torch.device("cpu")


def items(count=4):
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 8, 8, generator=generator) for _ in range(count)]
    return [{"image": image, "label": (image > 0.5).float()} for image in images]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Conv2d(4, 1, 1))


def trial(module, length=4, batch_size=2, **options):
    loader = train_loader(SeededDataset(items(), seed=1, length=length), batch_size=batch_size, device=CPU)
    forward = NetworkForward(amp=False, channels_last=False)
    return Trial(module, loader=loader, loss=make_loss("dice_ce"), inferer=forward, device=CPU, **options)


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_nothing_of_them_stays():
    module = network()
    module(items()[0]["image"][None]).sum().backward()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in module.parameters()]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    expected = draws()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    trial(module).run([0.1] * 5)
    assert draws() == expected
    assert all(torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, module.parameters(), strict=True))


def test_they_are_steps_of_training():
    """By hand: the same batches, one pass after the other, a rate for each step."""
    module, by_hand = network(), network()
    tried = trial(module, optimizer_name="adamw", weight_decay=0.01, clip_norm=0.5)
    torch.manual_seed(7)
    steps = tried.run([0.1, 0.01, 0.001])
    optimizer = make_optimizer(by_hand.train(), "adamw", lr=1.0, weight_decay=0.01, clip_norm=0.5)
    batches = [*tried.loader, *tried.loader]
    torch.manual_seed(7)
    torch.empty((), dtype=torch.int64).random_()  # a loader that begins draws a seed
    losses = []
    for number, (batch, rate) in enumerate(zip(batches, [0.1, 0.01, 0.001], strict=False)):
        if number == 2:
            torch.empty((), dtype=torch.int64).random_()
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = make_loss("dice_ce")(by_hand(batch["image"]), batch["label"])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert [step.loss for step in steps] == losses
    assert len(set(losses)) == 3


def test_enough_and_the_clock():
    ticks = iter(range(100))
    steps = trial(network()).run([0.1] * 9, clock=lambda: next(ticks), enough=lambda done: len(done) == 3)
    assert [step.seconds for step in steps] == [1, 1, 1]


def test_targets_may_be_prepared():
    seen = []

    def prepare(batch, device, non_blocking):
        seen.append(device)
        return batch["image"], torch.cat([batch["label"], torch.ones_like(batch["label"])], 1)

    trial(network(), prepare_batch=prepare).run([0.1])
    assert seen == [CPU]


def test_no_batch_is_refused():
    with pytest.raises(InputError, match="no training batch: fewer items than a batch has"):
        trial(network(), length=1)
