"""LARS: against its formula, exempt tensors, saved and loaded, its learning rate; SGD with Nesterov momentum."""

import copy
import math

import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.training.lars import LARS
from segxfer3d.training.optimization import lars_rate, make_optimizer


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 4, 2))


def backward(module, seed):
    module.zero_grad()
    module(torch.rand(4, 2, 4, 4, generator=torch.Generator().manual_seed(seed))).square().sum().backward()


def slow_lars(module, steps, lr, decay):
    """Momentum of steps lr u, u = g + decay w, which for weights is scaled by 0.001 |w| / |u|."""
    velocity = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for seed in range(steps):
        backward(module, seed)
        with torch.no_grad():
            for name, p in module.named_parameters():
                update = lr * p.grad
                if p.ndim > 1:
                    whole = p.grad + decay * p
                    update = lr * 0.001 * p.norm() / whole.norm() * whole
                velocity[name] = 0.9 * velocity[name] + update
                p -= velocity[name]


def test_lars_is_its_formula():
    fast, slow = network(), network()
    optimizer = make_optimizer(fast, "lars", lr=0.3, weight_decay=0.01)
    for seed in range(3):
        backward(fast, seed)
        optimizer.step()
    slow_lars(slow, 3, 0.3, 0.01)
    for (name, ours), theirs in zip(fast.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_lars_leaves_the_gradients_which_tell_whether_outputs_are_saturated():
    """At the first step of a warm-up, whose rate is 0, too: an epoch may be that step."""
    module = network()
    optimizer = make_optimizer(module, "lars", lr=0.0, weight_decay=0.01)
    backward(module, 0)
    before = [p.grad.clone() for p in module.parameters()]
    optimizer.step()
    assert all(torch.equal(p.grad, own) for p, own in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize(("angle", "decay", "length"), [(90, 1.0, 1.0), (0, 1e-4, 0.64), (60, 0.5, 2.0)])
def test_a_lars_step_is_that_of_the_published_code(angle, decay, length):
    """Within 1 % of 0.001 |w| / |g + wd w| (g + wd w); at right angles 1.41 times what |g| + wd |w| would give."""
    weight = nn.Parameter(torch.tensor([[2.0, 0.0]]))
    turned = math.radians(angle)
    before = weight.detach().clone()
    gradient = length * before.norm() * torch.tensor([[math.cos(turned), math.sin(turned)]])
    weight.grad = gradient.clone()
    LARS([weight], lr=0.3, weight_decay=decay).step()
    update = gradient + decay * before
    expected = 0.3 * 0.001 * before.norm() * update / update.norm()
    torch.testing.assert_close(before - weight.detach(), expected, rtol=0.01, atol=1e-7)
    if angle == 90:
        apart = 0.3 * 0.001 * before.norm() * update / (gradient.norm() + decay * before.norm())
        assert float((before - weight.detach()).norm() / apart.norm()) == pytest.approx(2**0.5, rel=1e-3)


def test_lars_goes_on_from_a_state_of_an_earlier_version():
    """There the momentum had no rate in it, and the group more entries."""
    module = network()
    optimizer = make_optimizer(module, "lars", lr=0.3, weight_decay=1e-4)
    backward(module, 0)
    optimizer.step()
    expected = optimizer.state_dict()
    old = copy.deepcopy(expected)
    for group in old["param_groups"]:
        group |= {"trust_coefficient": group.pop("trust"), "dampening": 0.0, "nesterov": False, "foreach": None}
        group |= {"maximize": False, "step": 1}
    for state in old["state"].values():
        state["momentum_buffer"] /= 0.3
    again = make_optimizer(module, "lars", lr=0.3, weight_decay=1e-4)
    again.load_state_dict(old)
    assert again.state_dict()["param_groups"] == expected["param_groups"]
    for key, state in again.state_dict()["state"].items():
        torch.testing.assert_close(state["momentum_buffer"], expected["state"][key]["momentum_buffer"])


def test_lars_goes_on_bit_for_bit(tmp_path):
    module = network()
    optimizer = make_optimizer(module, "lars", lr=0.3, weight_decay=1e-4)
    for seed in range(2):
        backward(module, seed)
        optimizer.step()
    torch.save({"network": module.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = network(seed=1)
    again.load_state_dict(state["network"])
    again_optimizer = make_optimizer(again, "lars", lr=0.3, weight_decay=1e-4)
    again_optimizer.load_state_dict(state["optimizer"])
    for seed in range(2, 4):
        for m, o in ((module, optimizer), (again, again_optimizer)):
            backward(m, seed)
            o.step()
    for ours, theirs in zip(module.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_lars_passes_over_frozen_parameters():
    module = network()
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    optimizer = make_optimizer(module, "lars", lr=0.3, weight_decay=0.1)
    backward(module, 0)
    optimizer.step()
    assert torch.equal(module[0].weight, before)


@pytest.mark.parametrize(("batch_size", "rate"), [(16, 0.3), (64, 0.6), (4096, 4.8)])
def test_lars_rate(batch_size, rate):
    assert lars_rate(batch_size) == pytest.approx(rate)


def test_lars_rate_is_of_the_samples_of_all_processes(monkeypatch):
    """Torchrun says how many there are before they have joined, which is when bundles are read."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert lars_rate(16) == pytest.approx(0.6)


def test_nesterov_is_its_formula():
    """Momentum 0.99; the step goes where the momentum will be."""
    fast, slow = network(), network()
    optimizer = make_optimizer(fast, "nesterov", lr=0.01, weight_decay=0.1)
    velocity = {name: torch.zeros_like(p) for name, p in slow.named_parameters()}
    for seed in range(3):
        backward(fast, seed)
        optimizer.step()
        backward(slow, seed)
        with torch.no_grad():
            for name, p in slow.named_parameters():
                gradient = p.grad + (0.1 * p if p.ndim > 1 else 0)
                velocity[name] = gradient if seed == 0 else 0.99 * velocity[name] + gradient
                p -= 0.01 * (gradient + 0.99 * velocity[name])
    for (name, ours), theirs in zip(fast.named_parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_sgd_is_as_it_was():
    (group, _) = make_optimizer(network(), "sgd", lr=0.1).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.9, False)


@pytest.mark.parametrize("batch_size", [0, -4])
def test_a_rate_of_no_batch_is_refused(batch_size):
    """The rule comes before the options are checked."""
    with pytest.raises(InputError, match=rf"batch_size: expected a whole number of at least 1, got {batch_size}"):
        lars_rate(batch_size)
