"""Courses of the learning rate: against their formulas, and on what they step."""

import math

import pytest
import torch
from ignite.engine import Engine

from segxfer3d.training.schedules import Schedule, make_schedule


def optimizer(lr=1.0):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(name, steps, **options):
    """The rate of each step."""
    trained = optimizer()
    schedule = make_schedule(trained, name, steps, **options)
    course = []
    for _ in range(steps):
        course.append(trained.param_groups[0]["lr"])
        trained.step()
        schedule.step()
    return course


def test_constant():
    assert rates("constant", 5) == [1.0] * 5


def test_warm_up_then_a_cosine():
    expected = [step / 2 for step in range(2)]
    expected += [0.5 * (1 + math.cos(math.pi * step / 18)) for step in range(18)]
    assert rates("warmup-cosine", 20, warmup_fraction=0.1) == pytest.approx(expected)


def test_warm_up_then_a_power():
    expected = [step / 4 for step in range(4)] + [((20 - step) / 16) ** 0.9 for step in range(4, 20)]
    assert rates("warmup-polynomial", 20, warmup_fraction=0.2) == pytest.approx(expected)


def test_down_from_the_first_step():
    assert rates("cosine", 20) == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(20)])
    assert rates("polynomial", 20) == pytest.approx([((20 - step) / 20) ** 0.9 for step in range(20)])


@pytest.mark.parametrize("name", ["cosine", "polynomial"])
def test_goes_on_where_it_stopped(name):
    first = make_schedule(optimizer(), name, 10)
    for _ in range(4):
        first.optimizer.step()
        first.step()
    second = make_schedule(optimizer(), name, 10)
    second.load_state_dict(first.state_dict())
    second.optimizer.step()
    second.step()
    first.optimizer.step()
    first.step()
    assert second.get_last_lr() == first.get_last_lr()


@pytest.mark.parametrize(("patience", "period"), [(5, 4), (0, 40), (1, 1)])
def test_halved_every_few_epochs(patience, period):
    course = rates("halving", 6 * period, steps_per_epoch=2, patience=patience)
    assert course == [0.5 ** (step // (2 * period)) for step in range(6 * period)]


def test_a_plateau_is_told_by_the_validation():
    trained = optimizer()
    validation = Engine(lambda *_: None)
    trainer = Engine(lambda *_: None)
    Schedule(make_schedule(trained, "plateau", 100), validation).attach(trainer)
    trainer.run([0], max_epochs=3)
    assert trained.param_groups[0]["lr"] == 1.0
    validation.state.metrics = {"dice": 0.5}

    for count in range(9):
        assert trained.param_groups[0]["lr"] == (1.0 if count < 7 else 0.5), count
        validation.run([0], max_epochs=1)
        validation.state.metrics = {"dice": 0.5}


@pytest.mark.parametrize(
    ("losses", "halved"),
    [
        ([1.0 - 0.1 * count for count in range(9)], 0),
        ([-0.1 * count for count in range(9)], 0),  # BYOL's: minus a cosine
        ([0.5] * 7, 1),
        ([-0.5] * 7, 1),
        ([0.5 + 0.1 * count for count in range(7)], 1),
        ([0.5] * 6, 0),
    ],
)
def test_a_plateau_of_a_loss_is_where_it_falls_no_more(losses, halved):
    trained = optimizer()
    validation = Engine(lambda *_: None)
    Schedule(make_schedule(trained, "plateau", 100), validation, metric="loss").attach(Engine(lambda *_: None))
    for loss in losses:
        validation.state.metrics = {"loss": loss}
        validation.run([0], max_epochs=1)
        validation.state.metrics = {}
    assert trained.param_groups[0]["lr"] == 0.5**halved


def test_a_plateau_of_a_loss_goes_on_as_its_state_says():
    schedules = [make_schedule(optimizer(), "plateau", 100) for _ in range(3)]
    Schedule(schedules[0], metric="loss")
    schedules[0].step(0.25)
    earlier = schedules[2].state_dict() | {"patience": 6}  # of a build that took a larger loss for the better one
    Schedule(schedules[1], metric="loss")
    schedules[1].load_state_dict(schedules[0].state_dict())
    assert (schedules[1].mode, schedules[1].best) == ("min", 0.25)
    schedules[1].load_state_dict(earlier)
    assert (schedules[1].mode, schedules[1].best) == ("max", -math.inf)
    assert (schedules[0].patience, schedules[1].patience) == (5, 6)


def test_others_step_with_the_trainer():
    trained = optimizer()
    trainer = Engine(lambda *_: trained.step())
    Schedule(make_schedule(trained, "warmup-polynomial", 10, warmup_fraction=0.0)).attach(trainer)
    trainer.run([0] * 4, max_epochs=1)
    assert trained.param_groups[0]["lr"] == pytest.approx(0.6**0.9)
