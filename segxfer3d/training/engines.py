"""The pretext trainer and evaluator, and the inferers that carry precision and memory layout.

Fine-tuning runs on MONAI's ``SupervisedTrainer`` and ``SupervisedEvaluator`` unchanged: autocast and layout live in
the inferer, clipping in the optimizer, freezing in the network.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.metrics import Average
from monai.engines import Evaluator, Trainer
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from torch import Tensor
from torch.utils.data import DataLoader

from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks.forward import NetworkForward, to_device, unwrap
from segxfer3d.pretexts.base import Pretext

# the names that bundles of earlier versions have
__all__ = ["PretextEvaluator", "PretextTrainer", "TrainInferer", "WindowInferer"]
TrainInferer = NetworkForward


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
        unwrap(engine.network).after_step()
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
