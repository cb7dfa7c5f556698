"""How long a training is: so many epochs, or as many as fit into some minutes on this machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from segxfer3d import documents
from segxfer3d.errors import InputError
from segxfer3d.run import processes
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.trial import Step, Trial

RECORD = "length"  # the run's record of what was found
FEWEST_STEPS, MOST_STEPS, SECONDS = 5, 25, 2.0  # steps that are timed: at least, at most, and how long between
CLOCKS = {"processor": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Length:
    """The length of a training, and what it was found by.

    Attributes:
        epochs: in all.
        steps_per_epoch: training steps of each.
        minutes: that were asked for; None where the epochs were, and what follows says nothing.
        seconds_per_step: the median over ``timed`` steps, with their batches.
        timed: how many steps were timed.
        clock: ``processor``: processor time of this process; or ``wall``.
    """

    epochs: int
    steps_per_epoch: int
    minutes: float | None = None
    seconds_per_step: float = 0.0
    timed: int = 0
    clock: str = ""

    @property
    def steps(self) -> int:
        """In all."""
        return self.epochs * self.steps_per_epoch

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a run's folder."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Length:
        """The other way round."""
        return Length(**{field.name: values[field.name] for field in fields(Length) if field.name in values})

    def text(self, plan: Path | None = None) -> str:
        """What was found, for the console, and what repeats it.

        Args:
            plan: the record of the plan that was made for these minutes; None where there is none.
        """
        same = f"--plan {plan} " if plan else ""
        of = "of processor time" if self.clock == "processor" else "by the clock"
        return (
            f"minutes {self.minutes:g}: {self.epochs} epoch{'s' * (self.epochs != 1)} of {self.steps_per_epoch} steps, "
            f"at {self.seconds_per_step:.3g} s {of} a step (median of {self.timed}); the same training again: "
            f"{same}--max_epochs {self.epochs} instead of --minutes"
        )


def find_length(
    minutes: float | None,
    *,
    max_epochs: int,
    steps_per_epoch: int,
    trial: Trial,
    run: RunFolder,
    decoder_warmup_epochs: int = 0,
) -> Length:
    """The epochs that were asked for; or, where ``minutes`` are, as many whole epochs as fit into them.

    Training steps are counted with their batches; starting, validating, saving and the final table come on top. On a
    CPU with one thread and no loader processes the minutes are processor time, which other programs do not stretch;
    else they are the clock's. A step of warm-up comes first, then the median of a few counts. The run keeps what was
    found, and a run that goes on takes it from there.

    Args:
        minutes: of training; None for ``max_epochs``.
        max_epochs: where no minutes are given.
        steps_per_epoch: training steps of an epoch.
        trial: takes steps, see :class:`~segxfer3d.training.trial.Trial`; only where there is something to time.
        run: told what was found.
        decoder_warmup_epochs: in which the encoder stays as it is.

    Raises:
        InputError: not even an epoch fits, or none after those of the warm-up; or a run that goes on lacks its record.
    """
    if minutes is None:
        _refuse_warmup(decoder_warmup_epochs, max_epochs, run)
        return Length(max_epochs, steps_per_epoch)
    if run.goes_on_with(RECORD):
        length = _recorded(run)
    else:
        name = clock_of(trial.device, trial.loader.num_workers)
        steps = trial.run([1e-6] * (1 + MOST_STEPS), clock=CLOCKS[name], enough=_enough)[1:]
        seconds = processes.mean({"seconds": statistics.median(step.seconds for step in steps)})["seconds"]
        length = _fitting(minutes, steps_per_epoch, seconds, len(steps), name)
        _refuse_warmup(decoder_warmup_epochs, length.epochs, run)
    run.record(RECORD, length.as_dict())
    run.say(length.text(run.record_path("plan")))
    return length


def clock_of(device: torch.device, num_workers: int = 0) -> str:
    """``processor`` where this thread does all the work, else ``wall``."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1 and num_workers == 0
    return "processor" if alone else "wall"


def _enough(steps: list[Step]) -> bool:
    timed = steps[1:]  # the first warms up
    return len(timed) >= FEWEST_STEPS and sum(step.seconds for step in timed) >= SECONDS


def _fitting(minutes: float, steps_per_epoch: int, seconds: float, timed: int, clock: str) -> Length:
    steps = math.floor(minutes * 60 / max(seconds, 1e-9))
    if steps < steps_per_epoch:
        raise InputError(
            f"minutes {minutes:g}: {steps} steps of {seconds:.3g} s fit, no epoch of {steps_per_epoch}; expected at "
            f"least {seconds * steps_per_epoch / 60:.2g} minutes, or a smaller --steps_per_epoch"
        )
    return Length(steps // steps_per_epoch, steps_per_epoch, minutes, seconds, timed, clock)


def _refuse_warmup(warmup: int, epochs: int, run: RunFolder) -> None:
    """Refuse a warm-up of the decoder that leaves the encoder no epoch; earlier runs go on as they began."""
    if warmup >= epochs and warmup > 0 and not run.resume:
        raise InputError(
            f"decoder_warmup_epochs {warmup}: the training has {epochs} epoch{'s' * (epochs != 1)}, so that the "
            "encoder never trains; expected fewer, or --init frozen-encoder"
        )


def _recorded(run: RunFolder) -> Length:
    after = "; it says how many epochs this run has: start a new one"
    content = documents.own(run.path / f"{RECORD}.json", before="resume: ", after=after)
    return Length.from_dict(content)
