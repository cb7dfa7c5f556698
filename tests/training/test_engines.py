"""The engines of pretexts and what keeps epochs in order, each alone."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import NetworkForward
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.training.engines import (
    ItemOutput,
    PretextEvaluator,
    PretextTrainer,
    RepeatableEpochs,
    StopOnNaN,
    Validation,
)
from segxfer3d.training.optimization import make_optimizer
from tests.pretexts.stand_ins import batch, network, views

CPU = torch.device("cpu")
FORWARD = NetworkForward(amp=False, channels_last=False)


def images(count, seed=0):
    items = batch(n=count, seed=seed)
    return [{"image": image} for image in items["image"]]


class Counting(SimCLR):
    steps = 0

    def after_step(self):
        self.steps += 1


def test_a_pretext_trains_and_says_what_its_losses_were():
    torch.manual_seed(0)
    pretext = Counting(network(), views)
    before = {key: tensor.clone() for key, tensor in pretext.state_dict().items()}
    outputs = []
    trainer = PretextTrainer(
        device=CPU, max_epochs=2, train_data_loader=DataLoader(images(8), batch_size=4), pretext=pretext,
        optimizer=make_optimizer(pretext, "sgd", lr=0.1), inferer=FORWARD,
    )  # fmt: skip
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output))
    trainer.run()
    assert pretext.steps == len(outputs) == 4
    assert all(len(output) == 1 and not output[0]["loss"].requires_grad for output in outputs)
    weights = {
        name for name, _ in pretext.named_parameters() if not name.startswith(("network.decoder", "network.head"))
    }
    assert weights
    assert any(not torch.equal(before[name], pretext.state_dict()[name]) for name in weights)


def test_a_pretext_is_measured_alike_every_time():
    pretext = SimCLR(network(), views).eval()
    loader = DataLoader(images(8), batch_size=4)
    evaluator = PretextEvaluator(device=CPU, val_data_loader=loader, pretext=pretext, inferer=FORWARD)
    torch.manual_seed(5)
    evaluator.run()
    measured = dict(evaluator.state.metrics)
    torch.manual_seed(6)
    evaluator.run()
    assert evaluator.state.metrics == measured
    torch.manual_seed(0)
    with torch.no_grad():
        losses = [pretext(items) for items in loader]
    for name, value in measured.items():
        assert value == pytest.approx(sum(float(loss[name]) for loss in losses) / 2, rel=1e-6)


def test_an_epoch_is_the_same_whenever_it_comes():
    def drawn(epochs, start=0):
        told, numbers = [], []
        engine = Engine(lambda *_: None)
        RepeatableEpochs(3, SimpleNamespace(set_epoch=told.append)).attach(engine)
        engine.add_event_handler(
            Events.EPOCH_COMPLETED,
            lambda _: numbers.append((random.random(), float(np.random.rand()), float(torch.rand(())))),  # noqa: NPY002
        )
        engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", start))
        engine.run([0], max_epochs=epochs)
        assert told == list(range(start + 1, epochs + 1))
        return numbers

    numbers = drawn(4)
    assert len(set(numbers)) == 4
    assert drawn(4, start=2) == numbers[2:]


def run_losses(losses, module, lr=None, started=None):
    engine = Engine(lambda e, _: {"loss": torch.tensor(losses[e.state.iteration - 1])})
    engine.network = module
    if lr is not None:
        engine.optimizer = torch.optim.SGD([{"params": module.parameters(), "initial_lr": lr}], lr=lr / 2)
    engine.register_events("model_completed")
    engine.add_event_handler(Events.ITERATION_COMPLETED, ItemOutput())
    StopOnNaN().attach(engine)
    if started is not None:
        engine.add_event_handler(Events.STARTED, started)
    engine.run([0] * len(losses), max_epochs=1)


def test_a_loss_that_is_no_number_stops_the_run():
    run_losses([1.0, 2.0], nn.Linear(2, 1))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=rf"the loss is {bad} at step 2 \(epoch 1\): try a smaller --lr"):
            run_losses([1.0, bad], nn.Linear(2, 1))


def test_a_loss_that_has_blown_up_stops_it_too():
    run_losses([0.001, 99.0], nn.Linear(2, 1))
    run_losses([50.0, 4999.0], nn.Linear(2, 1))
    message = r"is 1e\+03, 2 at first, at step 3 \(epoch 1, learning rate 0\.4\): try a smaller --lr such as 0\.08, or"
    with pytest.raises(InputError, match=message):
        run_losses([2.0, 150.0, 1000.0], nn.Linear(2, 1), lr=0.8)


def run_sizes(sizes):
    """A training under a loss that stays as it is, whose weights get these sizes step by step, the first before it."""
    module = nn.Linear(2, 1, bias=False)

    class Losses(list):
        def __getitem__(self, step):
            with torch.no_grad():
                module.weight.copy_(torch.tensor([[0.6, 0.8]]) * sizes[step + 1])
            return 0.5

    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.6, 0.8]]) * sizes[0])
    run_losses(Losses(sizes[1:]), module)


def test_weights_that_have_blown_up_stop_it_where_the_loss_has_a_bound():
    run_sizes([5 * 1.9**step for step in range(11)])  # 613 times
    message = r"the weights are 1\.2e\+03 times as large as at first after step 11 \(epoch 1\): try a smaller --lr"
    with pytest.raises(InputError, match=message):
        run_sizes([5 * 1.9**step for step in range(12)])


def test_a_step_that_leaves_nothing_of_the_weights_stops_it():
    run_sizes([0.1, 4.9, 24, 0.01, 4.9])  # small ones count as 1
    message = r"the weights have become 7\.7 times as large in step 3 \(epoch 1\): try a smaller --lr"
    with pytest.raises(InputError, match=message):
        run_sizes([5, 5, 6, 46.2, 46.2])


def test_weights_that_a_run_goes_on_with_are_no_step():
    def goes_on(engine):
        with torch.no_grad():
            module.weight.copy_(torch.tensor([[30.0, 40.0]]))

    module = nn.Linear(2, 1)
    run_losses([0.5, 0.5], module, started=goes_on)
    assert module.weight.norm() == 50


def test_saturated_outputs_stop_it():
    def trained(loss, *gradients):
        module = nn.Linear(2, 1)
        for weights, gradient in zip(module.parameters(), gradients, strict=False):
            weights.grad = torch.full_like(weights, gradient)
        run_losses([loss], module)

    trained(0.9)  # nothing to look at
    trained(0.9, 0.0, 1e-30)
    trained(1e-4, 0.0, 0.0)  # nothing to learn
    message = (
        r"no weight has a gradient, with a loss of 0\.9: the outputs are saturated at step 1 \(epoch 1\): try a smal"
    )
    with pytest.raises(InputError, match=message):
        trained(0.9, 0.0, 0.0)
    with pytest.raises(InputError, match=message):
        trained(0.9, 0.0)  # the other one is frozen


def test_weights_that_are_no_numbers_stop_it_before_they_are_saved():
    module = nn.Linear(2, 1)
    with torch.no_grad():
        module.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"bias is not finite after step 1"):
        run_losses([1.0], module)


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_validation_every_few_epochs_and_after_the_last(interval, epochs):
    ran = []
    engine = Engine(lambda *_: None)
    Validation(SimpleNamespace(network=None, run=ran.append), interval).attach(engine)
    engine.run([0], max_epochs=5)
    assert ran == epochs
    Validation(None, 1).attach(engine)  # nothing to validate on
    engine.run([0], max_epochs=5)
