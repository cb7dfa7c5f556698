"""What hangs on the engines: repeatable epochs, the record of a run, training states, freezing, early stopping."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.tensorboard import SummaryWriter

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.forward import unwrap
from segxfer3d.run import processes
from segxfer3d.run.folder import Session, seed_everything
from segxfer3d.weights.checkpoint import StateFolder

logger = logging.getLogger(__name__)


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


class StopOnNaN:
    """Stops the run at the first loss that is not a finite number; the last training state stays.

    At an epoch's end the weights are looked at too, so that no training state holds what the next loss would show.
    """

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, before everything that keeps its weights."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look_at_weights)

    def __call__(self, engine: Engine) -> None:
        """After a step."""
        loss = float(engine.state.output[0]["loss"].detach())
        if not math.isfinite(loss):
            self._stop(engine, f"the loss is {loss} at")

    def _look_at_weights(self, engine: Engine) -> None:
        for name, tensor in unwrap(engine.network).state_dict().items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                self._stop(engine, f"{name} is not finite after")

    @staticmethod
    def _stop(engine: Engine, what: str) -> None:
        raise InputError(
            f"{what} step {engine.state.iteration} (epoch {engine.state.epoch}): "
            "try a smaller --lr, or --clip_norm 1; the last training state is kept"
        )


class DecoderWarmup:
    """Two-step fine-tuning: the encoder is frozen for the first ``epochs``, then everything trains.

    What the initialization froze stays frozen.
    """

    def __init__(self, network: nn.Module, epochs: int) -> None:
        self.network = network
        self.epochs = epochs
        self.frozen: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer; nothing to do where there is no warm-up."""
        if self.epochs > 0:
            self.frozen = list(self._segmentation_network().frozen)
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def _segmentation_network(self) -> SegmentationNetwork:
        network = unwrap(self.network)
        if not isinstance(network, SegmentationNetwork):
            raise TypeError("decoder warm-up needs a SegmentationNetwork")
        return network

    def __call__(self, engine: Engine) -> None:
        """At an epoch's start."""
        network = self._segmentation_network()
        warming = engine.state.epoch <= self.epochs
        if "encoder" not in self.frozen and warming != ("encoder" in network.frozen):
            network.freeze([*self.frozen, "encoder"] if warming else self.frozen)
            logger.info("epoch %d: encoder %s", engine.state.epoch, "frozen" if warming else "trains")


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


class Schedule:
    """Steps the learning rate after each step, or on the validation figure for ``plateau``.

    It hangs behind the validation, so that a plateau sees the newest figure.
    """

    def __init__(self, schedule: Any, validation: Engine | None = None, metric: str = "dice") -> None:
        self.schedule = schedule
        self.metric = metric
        self.validation = validation

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer."""
        if not isinstance(self.schedule, ReduceLROnPlateau):
            engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: self.schedule.step())
        elif self.validation is not None:
            validation = self.validation
            validation.add_event_handler(Events.COMPLETED, lambda e: self.schedule.step(e.state.metrics[self.metric]))


class EpochRecord:
    """One line of ``metrics.jsonl`` for each epoch, the same to TensorBoard, and a progress bar.

    Args:
        session: the run.
        optimizer: whose learning rate is noted.
        validation: its metrics are added, where it ran in that epoch.
    """

    def __init__(self, session: Session, optimizer: torch.optim.Optimizer, validation: Engine | None = None) -> None:
        self.session = session
        self.optimizer = optimizer
        self.validation = validation
        self._sums: dict[str, float] = {}
        self._writer: SummaryWriter | None = None
        self._validated = 0

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer; before the handler that saves states."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._sums.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._close)
        if self.validation is not None:
            self.validation.add_event_handler(Events.COMPLETED, self._note_validation)
        if self.session.knobs.progress and self.session.main:
            bar = ProgressBar(desc=self.session.job)
            bar.attach(
                engine,
                output_transform=lambda o: {"loss": float(o[0]["loss"].detach())},
                event_name=Events.EPOCH_COMPLETED,
                closing_event_name=Events.COMPLETED,
            )

    def _note_validation(self, engine: Engine) -> None:
        self._validated = engine.state.epoch

    def _add(self, engine: Engine) -> None:
        for name, value in engine.state.output[0].items():
            if torch.is_tensor(value) and value.ndim == 0:  # the loss, its parts, and signs of whether it teaches
                self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())

    def _write(self, engine: Engine) -> None:
        losses = processes.mean({name: value / engine.state.epoch_length for name, value in self._sums.items()})
        if not self.session.main:
            return
        epoch = engine.state.epoch
        line: dict[str, Any] = {"epoch": epoch, "step": engine.state.iteration, **losses}
        line["lr"] = self.optimizer.param_groups[0]["lr"]
        line["seconds"] = round(engine.state.times[Events.EPOCH_COMPLETED.name] or 0.0, 3)
        line |= engine.state.metrics
        if self.validation is not None and self._validated == epoch:
            line |= {f"validation_{k}": v for k, v in self.validation.state.metrics.items()}
        files.append_line(self.session.folder / "metrics.jsonl", json.dumps(line))
        folder = self.session.folder / "tensorboard"
        try:
            if self._writer is None:
                # a run that goes on hides what the killed one wrote after its last training state
                self._writer = SummaryWriter(str(folder), purge_step=line["step"] if self.session.resume else None)
            for name, value in line.items():
                if name not in ("epoch", "step"):
                    self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
        except OSError as error:
            raise InputError(f"{folder} could not be written ({error}); the last training state is kept") from error

    def _close(self, _: Engine) -> None:
        if self._writer is not None:
            self._writer.close()


def cut_record(path: Path, epoch: int) -> None:
    """Drop the lines of ``metrics.jsonl`` after ``epoch``: a resumed run writes them again."""
    if path.is_file():
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["epoch"] <= epoch:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                break  # the half line of a killed run
        files.write_text(path, "".join(kept))


class TrainingState:
    """Saves what a killed run needs to go on, and goes on from it; keeps the best weights; stops when stale.

    Args:
        session: the run.
        network: the network or pretext that trains.
        optimizer, schedule: with it.
        validation: evaluator whose ``metric`` tells the best epoch, if any.
        metric: its name.
        larger_is_better: its direction.
    """

    def __init__(
        self,
        session: Session,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Any,
        validation: Engine | None = None,
        metric: str = "dice",
        larger_is_better: bool = True,
    ) -> None:
        self.session = session
        self.network = network
        self.optimizer = optimizer
        self.schedule = schedule
        self.validation = validation
        self.metric = metric
        self.sign = 1.0 if larger_is_better else -1.0
        self.best: float | None = None
        self.best_epoch = 0
        self.stale = 0
        self.best_state: dict[str, torch.Tensor] | None = None
        self.folder = StateFolder(session.folder / "checkpoints")

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, behind validation, schedule and record."""
        engine.add_event_handler(Events.STARTED, self._resume)
        if self.validation is not None:
            self.validation.add_event_handler(Events.COMPLETED, self._judge)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _resume(self, engine: Engine) -> None:
        if not self.session.resume:
            return
        state = self.folder.newest()
        if state is None:
            if self.session.finished:
                raise InputError(
                    f"resume: the run in {self.session.folder} is finished and its training states are gone; "
                    "use its model.pt, or start a new run"
                )
            self.session.say("resume: no training state yet, starting from the beginning")
            if self.session.main:
                cut_record(self.session.folder / "metrics.jsonl", 0)
            return
        unwrap(self.network).load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.best, self.best_epoch, self.stale = state["best"], state["best_epoch"], state["stale"]
        self.best_state = state["best_state"]
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        if self.session.main:
            cut_record(self.session.folder / "metrics.jsonl", state["epoch"])
        stale = 0 < self.session.knobs.patience <= self.stale
        if stale or state["epoch"] >= engine.state.max_epochs:
            self.session.say(f"resume: all {state['epoch']} epochs are trained already, nothing is trained again")
        else:
            self.session.say(f"resume: going on after epoch {state['epoch']}")
        if stale:
            engine.terminate()

    def _judge(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        if self.best is None or self.sign * value > self.sign * self.best:
            self.best, self.best_epoch, self.stale = value, engine.state.epoch, 0
            if self.session.knobs.keep == "best":
                state = unwrap(self.network).state_dict()
                self.best_state = {key: tensor.detach().cpu().clone() for key, tensor in state.items()}
        else:
            self.stale += 1

    def _save(self, engine: Engine) -> None:
        knobs = self.session.knobs
        last = engine.state.epoch >= engine.state.max_epochs
        if 0 < knobs.patience <= self.stale:
            self.session.say(f"stopped after epoch {engine.state.epoch}: no progress for {self.stale} validations")
            engine.terminate()
            last = True
        if self.session.main and (last or engine.state.epoch % knobs.save_interval == 0):
            self.folder.write(
                engine.state.epoch,
                {
                    "network": unwrap(self.network).state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    "best": self.best,
                    "best_epoch": self.best_epoch,
                    "stale": self.stale,
                    "best_state": self.best_state,
                },
            )

    def use_best(self) -> None:
        """Put the best weights into the network, where ``keep`` is ``best`` and there was a validation."""
        if self.best_state is not None:
            unwrap(self.network).load_state_dict(self.best_state)
            self.session.say(f"keeping the weights of epoch {self.best_epoch} ({self.metric} {self.best:.4f})")


class Keep:
    """Hangs a :class:`TrainingState` on a trainer: MONAI wants every handler of a list to be a component of its own."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer, behind validation, schedule and record."""
        self.state.attach(engine)
