"""The learning rate for a number of steps: the rule, and the range test."""

import doctest
import itertools
import math

import pytest
import torch

from segxfer3d.config.groups import OPTIMIZERS
from segxfer3d.errors import InputError
from segxfer3d.training import rates
from segxfer3d.training.rates import RULE, find_rate, peak_rate, rate_for, smoothed
from segxfer3d.training.trial import Step
from tests.training.test_trial import network, trial


def test_example():
    assert doctest.testmod(rates).failed == 0


@pytest.mark.parametrize("name", RULE)
def test_the_rule_goes_through_its_rows_and_never_leaves_them(name):
    rows = RULE[name]
    assert [steps for steps, _ in rows] == sorted({steps for steps, _ in rows})
    for steps, rate in rows:
        assert rate_for(steps, optimizer_name=name) == pytest.approx(rate)
    assert rate_for(1, optimizer_name=name) == rows[0][1]
    assert rate_for(10**9, optimizer_name=name) == rows[-1][1]
    for (few, first), (many, second) in itertools.pairwise(rows):
        middle = rate_for(round(math.sqrt(few * many)), optimizer_name=name)
        assert middle == pytest.approx(math.sqrt(first * second), rel=0.01)


def test_an_optimizer_without_a_rule_is_refused():
    assert set(RULE) <= {*OPTIMIZERS, "nesterov"}
    with pytest.raises(InputError, match=r"lr: no rule says it for lars \(only for adamw, .*expected a number"):
        rate_for(100, optimizer_name="lars")


class Kept:
    """A run that keeps nothing from before."""

    def __init__(self):
        self.said = []

    def goes_on_with(self, name):
        return False

    def record(self, name, content):
        self.content = content

    def say(self, text):
        self.said.append(text)


def test_a_range_test_that_is_asked_for_is_run_whatever_rate_the_recipe_has():
    run = Kept()
    asked = {"steps": 10, "optimizer_name": "adam", "run": run}
    assert peak_rate(0.003, range_test=False, trial=None, **asked) == 0.003
    assert run.said == []
    found = peak_rate(0.003, range_test=True, trial=Valley(lambda rate: (math.log10(rate) + 2) ** 2), **asked)
    assert found == run.content["lr"] != 0.003
    assert "by a range test" in run.said[0]


class Valley:
    """Steps whose loss falls until a rate, and then rises."""

    def __init__(self, loss):
        self.loss = loss
        self.asked = []

    def run(self, rates, *, enough):
        steps = []
        for rate in rates:
            steps.append(Step(self.loss(rate), 0.0))
            if enough(steps):
                break
        self.asked = rates[: len(steps)]
        return steps


def test_a_share_of_the_rate_of_the_lowest_loss():
    valley = Valley(lambda rate: 2 - rate * 10 if rate < 0.1 else 1 + 50 * (rate - 0.1))
    found = find_rate(valley, lowest=1e-4, highest=10, steps=60)
    assert valley.asked[0] == pytest.approx(1e-4)
    assert valley.asked[-1] < 0.3  # it had blown up
    assert 0.08 / rates.SAFETY < found.rate < 0.13 / rates.SAFETY
    assert len(found.rates) == len(found.losses) == len(valley.asked)
    assert "by a range test: the loss fell from 1.999 to " in found.text()


def test_a_loss_that_is_no_number_ends_it():
    valley = Valley(lambda rate: 1 - rate if rate < 0.1 else math.nan)
    found = find_rate(valley, lowest=1e-4, highest=10, steps=60)
    assert len(valley.asked) == len(found.rates) + 1
    assert found.rates[-1] < 0.1


def test_the_mean_is_without_bias():
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    s = rates.SMOOTHING
    assert smoothed([1.0, 3.0])[1] == pytest.approx((s + 3) / (s + 1))


@pytest.mark.parametrize("loss", [lambda _: 1.0, lambda _: math.nan, lambda rate: 1 + rate])
def test_a_loss_that_never_falls_is_refused(loss):
    with pytest.raises(InputError, match="range test: the loss does not fall at any rate from 1e-05"):
        find_rate(Valley(loss))


@pytest.mark.parametrize("limits", [{"lowest": 0}, {"lowest": 2}, {"steps": 3}])
def test_limits_that_cannot_be_are_refused(limits):
    with pytest.raises(InputError, match="range test: expected 0 < lowest < highest and 10 steps or more"):
        find_rate(Valley(lambda _: 1.0), **limits)


def test_a_real_network_is_left_alone():
    module = network()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    torch.manual_seed(3)
    first = find_rate(trial(module), highest=10, steps=40)
    torch.manual_seed(3)
    assert find_rate(trial(module), highest=10, steps=40) == first
    assert 1e-5 < first.rate < 1
    assert all(torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())
