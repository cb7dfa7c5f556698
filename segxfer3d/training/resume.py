"""Training states: what a killed run needs to go on bit for bit, the best weights, and the stop of a stale training."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import unwrap
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.record import RECORD, cut_record
from segxfer3d.weights.checkpoint import StateFolder


class TrainingState:
    """Saves what a killed run needs to go on, and goes on from it; keeps the best weights; stops when stale.

    Args:
        run: whose folder takes the states, and which says whether it goes on with an earlier one.
        network: the network or pretext that trains.
        optimizer, schedule: with it.
        validation: evaluator whose ``metric`` tells the best epoch, if any.
        metric: its name.
        larger_is_better: its direction.
        patience: validations without a better figure before training stops; 0 never stops it.
        keep: ``best``: the weights of the best epoch are remembered for :meth:`use_best`; or ``last``.
        save_interval: epochs between two states; the last epoch is always saved.
    """

    def __init__(
        self,
        run: RunFolder,
        network: nn.Module,
        *,
        optimizer: torch.optim.Optimizer,
        schedule: Any,
        validation: Engine | None = None,
        metric: str = "dice",
        larger_is_better: bool = True,
        patience: int = 0,
        keep: str = "last",
        save_interval: int = 1,
    ) -> None:
        self.run = run
        self.network = network
        self.optimizer = optimizer
        self.schedule = schedule
        self.validation = validation
        self.metric = metric
        self.sign = 1.0 if larger_is_better else -1.0
        self.patience = patience
        self.keep = keep
        self.save_interval = save_interval
        self.best: float | None = None
        self.best_epoch = 0
        self.stale = 0
        self.best_state: dict[str, Tensor] | None = None
        self.states = StateFolder(run.path / "checkpoints")

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, behind validation, schedule and record."""
        engine.add_event_handler(Events.STARTED, self._resume)
        if self.validation is not None:
            self.validation.add_event_handler(Events.COMPLETED, self._judge)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    @property
    def _is_stale(self) -> bool:
        return 0 < self.patience <= self.stale

    def _resume(self, engine: Engine) -> None:
        if not self.run.resume:
            return
        state = self.states.newest()
        if state is None:
            if self.run.finished:
                raise InputError(
                    f"resume: the run in {self.run.path} is finished and its training states are gone; "
                    "use its model.pt, or start a new run"
                )
            self.run.say("resume: no training state yet, starting from the beginning")
            self._cut_record(0)
            return
        self._restore(state)
        epoch = state["epoch"]
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length
        self._cut_record(epoch)
        if self._is_stale or epoch >= engine.state.max_epochs:
            self.run.say(f"resume: all {epoch} epochs are trained already, nothing is trained again")
        else:
            self.run.say(f"resume: going on after epoch {epoch}")
        if self._is_stale:
            engine.terminate()

    def _restore(self, state: dict[str, Any]) -> None:
        unwrap(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.best, self.best_epoch, self.stale = state["best"], state["best_epoch"], state["stale"]
        self.best_state = state["best_state"]

    def _cut_record(self, epoch: int) -> None:
        if self.run.main:
            cut_record(self.run.path / RECORD, epoch)

    def _judge(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        if self.best is None or self.sign * value > self.sign * self.best:
            self.best, self.best_epoch, self.stale = value, engine.state.epoch, 0
            if self.keep == "best":
                state = unwrap(self.network).state_dict()
                self.best_state = {key: tensor.detach().cpu().clone() for key, tensor in state.items()}
        else:
            self.stale += 1

    def _save(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        last = epoch >= engine.state.max_epochs
        if self._is_stale:
            self.run.say(f"stopped after epoch {epoch}: no progress for {self.stale} validations")
            engine.terminate()
            last = True
        if self.run.main and (last or epoch % self.save_interval == 0):
            content = {
                "network": unwrap(self.network).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "best": self.best,
                "best_epoch": self.best_epoch,
                "stale": self.stale,
                "best_state": self.best_state,
            }
            self.states.write(epoch, content)

    def use_best(self) -> None:
        """Put the best weights into the network, where ``keep`` is ``best`` and there was a validation."""
        if self.best_state is not None:
            unwrap(self.network).load_state_dict(self.best_state)
            self.run.say(f"keeping the weights of epoch {self.best_epoch} ({self.metric} {self.best:.4f})")


class Keep:
    """Hangs a :class:`TrainingState` on a trainer: MONAI wants every handler of a list to be a component of its own."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, behind validation, schedule and record."""
        self.state.attach(engine)
