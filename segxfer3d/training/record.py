"""The record of a training: a line for each epoch, the same for TensorBoard, and a progress bar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from segxfer3d import files
from segxfer3d.errors import InputError, some
from segxfer3d.run import processes
from segxfer3d.run.folder import RunFolder
from segxfer3d.schema.kinds import refuse
from segxfer3d.schema.own_files import LINE
from segxfer3d.schema.parsing import parse

RECORD = "metrics.jsonl"
SUMS = "epoch_sums"  # of the engine's state: name of a loss -> its sum over the steps of this epoch so far


class EpochRecord:
    """One line of ``metrics.jsonl`` for each epoch, the same to TensorBoard, and a progress bar.

    Args:
        run: whose record it is.
        optimizer: whose learning rate is noted.
        validation: its metrics are added, where it ran in that epoch.
        progress: whether the main process shows a bar.
    """

    def __init__(
        self,
        run: RunFolder,
        optimizer: torch.optim.Optimizer,
        *,
        validation: Engine | None = None,
        progress: bool = True,
    ) -> None:
        self.run = run
        self.optimizer = optimizer
        self.validation = validation
        self.progress = progress
        self._writer: SummaryWriter | None = None
        self._validated = 0

    def attach(self, engine: Engine) -> None:
        """Hang on a trainer; before the handler that saves states."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda trainer: setattr(trainer.state, SUMS, {}))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._close)
        if self.validation is not None:
            self.validation.add_event_handler(Events.COMPLETED, self._note_validation)
        if self.progress and self.run.main:
            bar = ProgressBar(desc=self.run.job)
            bar.attach(
                engine,
                output_transform=lambda o: {"loss": float(o[0]["loss"].detach())},
                event_name=Events.EPOCH_COMPLETED,
                closing_event_name=Events.COMPLETED,
            )

    def _note_validation(self, engine: Engine) -> None:
        self._validated = engine.state.epoch

    def _add(self, engine: Engine) -> None:
        sums = getattr(engine.state, SUMS)
        for name, value in engine.state.output[0].items():
            if torch.is_tensor(value) and value.ndim == 0:  # the loss, its parts, and signs of whether it teaches
                value = value.detach().double()  # summed where it is: nothing waits for a GPU
                key = str(name)  # MONAI's is an enumeration's, which no checkpoint may hold
                sums[key] = sums[key] + value if key in sums else value

    def _write(self, engine: Engine) -> None:
        sums: dict[str, Tensor] = getattr(engine.state, SUMS)
        losses = processes.mean({name: float(value) / engine.state.epoch_length for name, value in sums.items()})
        if not self.run.main:
            return
        epoch = engine.state.epoch
        line: dict[str, Any] = {"epoch": epoch, "step": engine.state.iteration, **losses}
        line["lr"] = self.optimizer.param_groups[0]["lr"]
        line["seconds"] = round(engine.state.times[Events.EPOCH_COMPLETED.name] or 0.0, 3)
        line |= engine.state.metrics
        if self.validation is not None and self._validated == epoch:
            line |= {f"validation_{k}": v for k, v in self.validation.state.metrics.items()}
        self.run.append_line(RECORD, json.dumps(line))
        self._to_tensorboard(line)

    def _to_tensorboard(self, line: dict[str, Any]) -> None:
        folder = self.run.path / "tensorboard"
        try:
            if self._writer is None:
                # a run that goes on hides what the killed one wrote after its last training state
                self._writer = SummaryWriter(str(folder), purge_step=line["step"] if self.run.resume else None)
            for name, value in line.items():
                if name not in ("epoch", "step"):
                    self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
        except OSError as error:
            raise InputError(f"{folder} could not be written ({error}); the last training state is kept") from error

    def _close(self, _: Engine) -> None:
        if self._writer is not None:
            self._writer.close()


def cut_record(path: Path, epoch: int) -> str:
    """Drop the lines of ``metrics.jsonl`` after ``epoch``, which a resumed run writes again, and damaged ones, such as
    the half line of a killed run.

    Returns:
        which epochs have no line now, in words; empty where all up to ``epoch`` have one.
    """
    kept = []
    lacking = set(range(1, epoch + 1))
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                content = parse(line)
                refuse(LINE, content)
            except ValueError:
                continue
            if content["epoch"] <= epoch:
                kept.append(line + "\n")
                lacking.discard(content["epoch"])
        files.write_text(path, "".join(kept))
    if not lacking:
        return ""
    return f"{path} lacks {some(sorted(lacking), 5, ', ')} of {epoch} epochs"
