"""The engines of pretexts, and what keeps every engine's epochs in order: seeds, validation, a stop at a bad loss.

Fine-tuning runs on MONAI's ``SupervisedTrainer`` and ``SupervisedEvaluator`` unchanged: autocast and layout live in
the inferer, clipping in the optimizer, freezing in the network.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Average
from monai.engines import Evaluator, Trainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import to_device, unwrap
from segxfer3d.pretexts.base import Pretext
from segxfer3d.run import processes
from segxfer3d.run.devices import seed_everything


class PretextTrainer(Trainer):
    """Trains any :class:`~segxfer3d.pretexts.base.Pretext`.

    ``engine.state.output`` is a list of one item, the dictionary of losses, detached, after each step.
    """

    def __init__(
        self,
        device: torch.device,
        max_epochs: int,
        train_data_loader: DataLoader[Any],
        pretext: Pretext,
        optimizer: torch.optim.Optimizer,
        inferer: Inferer,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            handlers=train_handlers,
            decollate=False,
        )
        self.network = pretext
        self.optimizer = optimizer
        self.inferer = inferer
        self.optim_set_to_none = True

    def _iteration(self, engine: Any, batchdata: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        batch = to_device(batchdata, engine.state.device)
        engine.network.train()
        engine.optimizer.zero_grad()
        losses = engine.inferer(batch, engine.network)
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        losses["loss"].backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.optimizer.step()
        pretext: Any = unwrap(engine.network)
        pretext.after_step()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return [{name: value.detach() for name, value in losses.items()}]


class PretextEvaluator(Evaluator):
    """Means of what the pretext gives, over a loader, in ``engine.state.metrics``: ``loss`` and the signs beside it.

    What a pretext draws (views, corruption) is drawn alike in every run of the evaluator, so that its figures can be
    compared. The random numbers that follow are seeded too: the trainer seeds its own at each epoch's start.
    """

    def __init__(
        self,
        device: torch.device,
        val_data_loader: DataLoader[Any],
        pretext: Pretext,
        inferer: Inferer,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            device=device,
            val_data_loader=val_data_loader,
            key_val_metric={"loss": Average(output_transform=lambda losses: losses["loss"])},
            metric_cmp_fn=operator.lt,
            val_handlers=val_handlers,  # they find the metric of their own epoch: it is attached before them
            decollate=False,
        )
        self.network = pretext
        self.inferer = inferer
        self.sums: dict[str, float] = {}
        self.add_event_handler(Events.STARTED, self._begin)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _begin(self, _: Engine) -> None:
        torch.manual_seed(0)
        self.sums = {}

    def _iteration(self, engine: Any, batchdata: dict[str, Tensor]) -> dict[str, Tensor]:
        with engine.mode(engine.network):
            losses = engine.inferer(to_device(batchdata, engine.state.device), engine.network)
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach())
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return {name: value.detach() for name, value in losses.items()}

    def _finish(self, engine: Engine) -> None:
        signs = {name: total / engine.state.epoch_length for name, total in self.sums.items() if name != "loss"}
        engine.state.metrics.update(signs)


class RepeatableEpochs:
    """Reseeds every generator from (seed, epoch, process) at each epoch's start, and tells the data its epoch.

    So an epoch is the same whether the run came to it or resumed at it.
    """

    def __init__(self, seed: int, dataset: Any) -> None:
        self.seed = seed
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """At an epoch's start."""
        seed_everything(self.seed, engine.state.epoch, idist.get_rank())
        self.dataset.set_epoch(engine.state.epoch)


class ItemOutput:
    """Makes the output of MONAI's trainer a list of one item, as decollating would, without taking batches apart.

    MONAI's own handlers (MLflow's among them) find the loss in the first item of a list.
    """

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer that does not decollate."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """After a step."""
        engine.state.output = [engine.state.output]


BLOWN_UP = 100  # a loss this many times the first
GROWN = 1000  # weights this many times as large as at first
LEAST_LOSS = 1e-3  # of a training that has something to learn
# Weights this many times as large as a step before. Behind norms a wide network learns from steps that make them 4
# times as large (Adam at 0.1 without warm-up: 256 channels in 3D); those that blow up, 7.7 times and more.
JUMPED = 5


class StopOnNaN:
    """Stops the run at the first loss that is not a finite number or has blown up; the last training state stays.

    A loss has blown up where it is more than :data:`BLOWN_UP` times the first one (or 1, if that is more):
    cross-entropy stays finite where the weights are beyond use. A step's loss is looked at when the next batch is
    there, before the next step: so a GPU computes while the loader works, and the run still stops at the very step. At
    an epoch's end the weights are looked at too, so that no training state holds what the next loss would show; nor
    what no loss shows that has a bound, as dice and those of most pretexts: weights :data:`GROWN` times as large as at
    first. Nor does a step that makes them :data:`JUMPED` times as large: nothing is left of what they were, and a
    softmax or sigmoid that it saturates gives the same answer everywhere from then on. Where all outputs are saturated,
    however slowly the weights grew, no weight has a gradient in an epoch's last step, and a loss is left.
    """

    def __init__(self) -> None:
        self.first: float | None = None
        self._loss: Tensor | None = None
        self._last = 0.0  # loss
        self._size = 0.0
        self._sizes: list[Tensor] = []  # of the weights, before and after the last step

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, before everything that keeps its weights."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._look_at_loss)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._before_first)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look_at_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look_at_gradients)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look_at_weights)

    def __call__(self, engine: Engine) -> None:
        """After a step."""
        self._loss = engine.state.output[0]["loss"].detach()
        self._sizes = [self._sizes[-1], _norm(unwrap(engine.network))]

    def _begin(self, engine: Engine) -> None:
        self._loss = None
        self._sizes = []
        self._size = float(_norm(unwrap(engine.network)))

    def _before_first(self, engine: Engine) -> None:
        """Before the first step, when a run that goes on has the weights of its last state."""
        if not self._sizes:
            self._sizes = [_norm(unwrap(engine.network))]

    def _look_at_loss(self, engine: Engine) -> None:
        if self._loss is None:
            return
        loss = self._last = float(self._loss)
        self._loss = None
        if self.first is None:
            self.first = loss
        if not math.isfinite(loss):
            self._stop(engine, f"the loss is {loss} at")
        if loss > BLOWN_UP * max(1.0, self.first):
            self._stop(engine, f"the loss is {loss:.3g}, {self.first:.3g} at first, at")
        before, after = (float(size) for size in self._sizes)
        if math.inf > after > JUMPED * max(before, 1.0):  # what is not finite is looked at by name
            self._stop(engine, f"the weights have become {after / max(before, 1.0):.2g} times as large in")

    def _look_at_gradients(self, engine: Engine) -> None:
        gradients = [each.grad for each in unwrap(engine.network).parameters() if each.grad is not None]
        if not gradients or self._last < LEAST_LOSS:
            return
        if not float(torch.stack(torch._foreach_norm(gradients, math.inf)).max()):
            self._stop(
                engine, f"no weight has a gradient, with a loss of {self._last:.3g}: the outputs are saturated at"
            )

    def _look_at_weights(self, engine: Engine) -> None:
        tensors = {k: v for k, v in unwrap(engine.network).state_dict().items() if v.is_floating_point()}
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors.values()]).tolist()  # asked for once
        for name, good in zip(tensors, finite, strict=True):
            if not good:
                self._stop(engine, f"{name} is not finite after")
        if (size := float(self._sizes[-1])) > GROWN * max(self._size, 1.0):
            self._stop(engine, f"the weights are {size / max(self._size, 1.0):.2g} times as large as at first after")

    @staticmethod
    def _stop(engine: Engine, what: str) -> None:
        rate, now = "", ""
        if (optimizer := getattr(engine, "optimizer", None)) is not None:
            peak = max(group.get("initial_lr", group["lr"]) for group in optimizer.param_groups)
            rate = f" such as {peak / 10:.2g}"
            now = f", learning rate {optimizer.param_groups[0]['lr']:.2g}"
        raise InputError(
            f"{what} step {engine.state.iteration} (epoch {engine.state.epoch}{now}): "
            f"try a smaller --lr{rate}, or a --clip_norm of 1 or less; training states that were saved are kept"
        )


def _norm(network: nn.Module) -> Tensor:
    """Of all weights."""
    weights = [each.detach() for each in network.parameters()]
    size: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(weights)))
    return size


class Validation:
    """Runs the evaluator every ``interval`` epochs and after the last one; nothing where there is none."""

    def __init__(self, validator: Evaluator | None, interval: int) -> None:
        self.validator = validator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, before everything that looks at the validation's figures."""
        if self.validator is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """At an epoch's end."""
        epoch = engine.state.epoch
        if self.validator is not None and (epoch % self.interval == 0 or epoch == engine.state.max_epochs):
            processes.share_buffers(self.validator.network)
            self.validator.run(epoch)
