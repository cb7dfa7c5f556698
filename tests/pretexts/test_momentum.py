"""Momentum copies follow parameters and statistics and leave both alone otherwise."""

import math

import pytest
import torch
from torch import nn

from segxfer3d.pretexts.momentum import cosine_momentum, follow, momentum_copy


def test_a_copy_follows_and_never_trains():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    twin = momentum_copy(module)
    assert not any(p.requires_grad for p in twin.parameters())
    with torch.no_grad():
        module[0].weight += 1
        module(torch.rand(4, 1, 8, 8))
    before = {key: tensor.clone() for key, tensor in twin.state_dict().items()}
    twin(torch.rand(4, 1, 8, 8))
    assert torch.equal(twin[1].running_mean, before["1.running_mean"])
    follow(twin, module, 0.75)
    for key, tensor in twin.state_dict().items():
        theirs = module.state_dict()[key]
        expected = 0.75 * before[key] + 0.25 * theirs if tensor.is_floating_point() else theirs
        torch.testing.assert_close(tensor, expected, msg=key)


def test_a_copy_in_training_normalizes_with_the_batch():
    module = nn.BatchNorm2d(2)
    x = torch.rand(4, 2, 8, 8) + 5
    assert torch.equal(momentum_copy(module)(x), module(x))


@pytest.mark.parametrize(("momentum", "same"), [(0.0, "original"), (1.0, "copy")])
def test_the_extremes(momentum, same):
    module = nn.Linear(2, 2)
    twin = momentum_copy(module)
    with torch.no_grad():
        module.weight += 1
    expected = (module if same == "original" else twin).weight.clone()
    follow(twin, module, momentum)
    assert torch.equal(twin.weight, expected)


def test_cosine_momentum():
    course = [cosine_momentum(0.996, step, 4) for step in range(6)]
    expected = [1 - 0.004 * (math.cos(math.pi * k / 4) + 1) / 2 for k in range(5)]
    assert course == pytest.approx([*expected, 1.0], abs=1e-12)
    assert course[0] == pytest.approx(0.996)
    assert course[4] == 1.0
