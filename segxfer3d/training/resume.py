"""Training states: what a stopped run needs to go on bit for bit, the best weights, and the stop of a stale training.

A state is kept after an epoch, beside which the next one goes on (:mod:`segxfer3d.training.saving`), and, where the
process is asked to stop (:mod:`segxfer3d.config.stopping`), after the step that it is in. A run of several processes
keeps those of epochs only: they are not asked at the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from segxfer3d.config import stopping
from segxfer3d.errors import InputError, some
from segxfer3d.networks.forward import unwrap
from segxfer3d.run.folder import RunFolder
from segxfer3d.run.made_from import ACCEPTED
from segxfer3d.run.random_state import random_state, set_random_state
from segxfer3d.training.record import RECORD, SUMS, cut_record
from segxfer3d.training.saving import StateWriter
from segxfer3d.weights.checkpoint import StateFolder

_ACCEPTED = "accepted"  # of a state: when its run accepted changed data


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
        self.epoch = 0  # the last that this process trained
        self.last: tuple[int, float] | None = None  # the epoch of its last validation, and the figure
        self.best: float | None = None
        self.best_epoch = 0
        self.stale = 0
        self.best_state: dict[str, Tensor] | None = None
        self.states = StateFolder(run.path / "checkpoints")
        self.writer = StateWriter(self.states)
        run.before_close.append(self.writer.finish)
        self._prepared = False
        self._within: dict[str, Any] | None = None  # the state within an epoch that the run goes on from

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, behind validation, schedule and record."""
        engine.add_event_handler(Events.STARTED, self._resume)
        if idist.get_world_size() == 1:
            engine.add_event_handler(Events.EPOCH_STARTED, lambda _: stopping.wait(True))
            engine.add_event_handler(Events.GET_BATCH_STARTED, self._go_on_within)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_within)
        if self.run.main:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._look_at_writer)
        if self.validation is not None:
            self.validation.add_event_handler(Events.COMPLETED, self._judge)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: self._stop_if_asked())
        engine.add_event_handler(Events.COMPLETED, self._end)

    @property
    def _is_stale(self) -> bool:
        return 0 < self.patience <= self.stale

    def _resume(self, engine: Engine) -> None:
        if not self.run.resume:
            return
        state = self.states.newest(self._restore)
        if state is None:
            if self.run.finished:
                raise InputError(
                    f"resume: the run in {self.run.path} is finished and its training states are gone; "
                    "use its model.pt, or start a new run"
                )
            self.run.say("resume: no training state yet, starting from the beginning")
            self._cut_record(0)
            return
        epoch, step = state["epoch"], state.get("step", 0)
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length + step
        self._refuse_other_data(state.get(_ACCEPTED, []))
        self._cut_record(epoch)
        if self._is_stale or epoch >= engine.state.max_epochs:
            self.run.say(f"resume: all {epoch} epochs are trained already, nothing is trained again")
        elif step:
            self.run.say(f"resume: going on after step {step} of epoch {epoch + 1}")
            self._within = state
            engine.state.dataloader.sampler.first = step * engine.state.dataloader.batch_size
        else:
            self.run.say(f"resume: going on after epoch {epoch}")
        if self._is_stale:
            engine.terminate()

    def _go_on_within(self, engine: Engine) -> None:
        """Before the first step of an epoch that goes on: what an epoch's start has made anew is as it was."""
        if self._within is not None:
            set_random_state(self._within["random"])
            device = next(self.network.parameters()).device
            sums = {
                name: torch.tensor(value, dtype=torch.float64, device=device)
                for name, value in self._within["sums"].items()
            }
            getattr(engine.state, SUMS).update(sums)
            self._within = None

    def _stop_within(self, engine: Engine) -> None:
        """After a step: keep it and stop, where that was asked; the last step of an epoch is kept with the epoch."""
        length = engine.state.epoch_length
        step = engine.state.iteration - (engine.state.epoch - 1) * length
        if not stopping.asked() or step >= length or not torch.isfinite(engine.state.output[0]["loss"]):
            return  # of a loss that is no number, the next step says so
        sums = {name: float(total) for name, total in getattr(engine.state, SUMS).items()}
        content = self._content() | {"random": random_state(), "sums": sums}
        self.writer.write(engine.state.epoch - 1, content, step=step)
        self.run.say(f"stopped after step {step} of epoch {engine.state.epoch}, whose state is kept")
        stopping.stop_if_asked()

    def _look_at_writer(self, engine: Engine) -> None:
        self.writer.check()
        if not self._prepared and engine.state.max_epochs - engine.state.epoch >= self.save_interval:
            self.writer.prepare(self._content())  # now, for an optimizer has all of its own after a step
        self._prepared = True

    def _stop_if_asked(self) -> None:
        if stopping.asked():
            self.writer.wait()
        stopping.stop_if_asked()

    def _end(self, _: Engine) -> None:
        self.writer.wait()  # where something else ended the training, its last state may not be on disk yet
        stopping.stop_if_asked()
        stopping.wait(False)

    def _restore(self, state: dict[str, Any]) -> None:
        if not isinstance(state["epoch"], int):
            raise TypeError(f"epoch {state['epoch']!r}")
        if state.get("step", 0):  # looked at now, while an older state can be taken; set once the epoch has begun
            set_random_state(state["random"])
            state["sums"] = {name: float(total) for name, total in state["sums"].items()}
        if state["best_state"] is not None:  # tried now, while an older state can be taken
            unwrap(self.network).load_state_dict(state["best_state"])
        unwrap(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.best, self.best_epoch, self.stale = state["best"], state["best_epoch"], state["stale"]
        self.best_state = state["best_state"]

    def _refuse_other_data(self, accepted: Sequence[str]) -> None:
        """Refuse a state that saw data of which nothing is kept any more.

        Raises:
            InputError: its run had accepted changed data, and ``accepted.json`` does not hold that.
        """
        kept = self.run.made_from.when_accepted
        if gone := [when for when in accepted if when not in kept]:
            raise InputError(
                f"resume: {self.run.path / ACCEPTED} is gone, or was edited: it does not hold that changed data were "
                f"accepted at {some(gone, 3, ', ')}; bring it back, or start a new run"
            )

    def _cut_record(self, epoch: int) -> None:
        if self.run.main and (lacking := cut_record(self.run.path / RECORD, epoch)):
            self.run.say(f"warning: {lacking}: it was deleted or edited; no curve shows them")

    def _judge(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        self.last = engine.state.epoch, value
        if self.best is None or self.sign * value > self.sign * self.best:
            self.best, self.best_epoch, self.stale = value, engine.state.epoch, 0
            if self.keep == "best":
                state = unwrap(self.network).state_dict()
                self.best_state = {key: tensor.detach().cpu().clone() for key, tensor in state.items()}
        else:
            self.stale += 1

    def _save(self, engine: Engine) -> None:
        epoch = self.epoch = engine.state.epoch
        last = epoch >= engine.state.max_epochs
        if self._is_stale:
            self.run.say(f"stopped after epoch {epoch}: no progress for {self.stale} validations")
            engine.terminate()
            last = True
        if self.run.main and last:
            self.writer.write(epoch, self._content())
        elif self.run.main and epoch % self.save_interval == 0:
            self.writer.begin(epoch, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "network": unwrap(self.network).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "stale": self.stale,
            "best_state": self.best_state,
            _ACCEPTED: self.run.made_from.when_accepted,
        }

    def figure(self) -> float | None:
        """What validation found of the weights that the training ends with; None where it did not see those."""
        if self.best_state is not None:
            return self.best
        return self.last[1] if self.last is not None and self.last[0] == self.epoch else None

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
