"""Courses of the learning rate by name, as the option ``schedule`` spells them, and the handler that steps them."""

from __future__ import annotations

import math
from typing import Any

from ignite.engine import Engine, Events
from monai.optimizers import WarmupCosineSchedule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

_STALE = 6  # validations in a row that are no better, after which a plateau halves the rate


def make_schedule(
    optimizer: Optimizer,
    name: str,
    total_steps: int,
    steps_per_epoch: int = 1,
    warmup_fraction: float = 0.1,
    patience: int = 50,
) -> LRScheduler | ReduceLROnPlateau:
    """The course of the learning rate.

    Args:
        optimizer: whose rate follows the course.
        name: ``constant``; ``cosine`` and ``polynomial`` (power 0.9), which begin at the full rate and fall to zero,
            which comes after the last step; ``warmup-cosine`` and ``warmup-polynomial`` (the same), which rise linearly
            before, from zero at the first step; ``halving`` (Models Genesis pretraining: halved every 0.8 x patience
            epochs); ``plateau`` (Models Genesis fine-tuning: halved where a 6th validation in a row is no better; which
            figure, and that a smaller loss is the better one, says :class:`Schedule`).
        total_steps: steps of the whole run.
        steps_per_epoch: steps of an epoch, for ``halving``.
        warmup_fraction: share of the steps in which the rate rises.
        patience: epochs, for ``halving``; 0 stands for the reference's 50.
    """
    warmup = round(warmup_fraction * total_steps)
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if name == "warmup-cosine":
        cosine: LRScheduler = WarmupCosineSchedule(optimizer, warmup_steps=warmup, t_total=total_steps)
        return cosine
    if name == "warmup-polynomial":
        return LambdaLR(optimizer, _WarmupPolynomial(warmup, total_steps))
    if name == "cosine":
        return LambdaLR(optimizer, _Cosine(total_steps))
    if name == "polynomial":
        return LambdaLR(optimizer, _WarmupPolynomial(0, total_steps))
    if name == "halving":
        return StepLR(optimizer, step_size=max(1, round(0.8 * (patience or 50))) * steps_per_epoch, gamma=0.5)
    return ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=_STALE - 1)  # torch halves one later


class _Cosine:
    """The factor of the rate at a step: down as half a cosine."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __call__(self, step: int) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, self.total))))


class _WarmupPolynomial:
    """The factor of the rate at a step: up linearly, then down as a power of what is left."""

    def __init__(self, warmup: int, total: int, power: float = 0.9) -> None:
        self.warmup, self.total, self.power = warmup, total, power

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return step / self.warmup
        left = (self.total - step) / max(1, self.total - self.warmup)
        return float(max(0.0, left) ** self.power)


class Schedule:
    """Steps the learning rate after each step, or on the validation figure for ``plateau``.

    It hangs behind the validation, so that a plateau sees the newest figure.

    Args:
        schedule: of :func:`make_schedule`.
        validation: whose figure a plateau looks at; None where there is none.
        metric: its name; of ``loss`` a smaller one is better, of all others a larger one.
    """

    def __init__(self, schedule: Any, validation: Engine | None = None, metric: str = "dice") -> None:
        if metric == "loss" and isinstance(schedule, ReduceLROnPlateau):
            # said here, not in bundles: a run goes on with the bundle of its start only, and with what its state says.
            # No threshold: as a share of a negative loss (BYOL's) it would have the same loss count as a better one
            schedule.load_state_dict({"mode": "min", "threshold": 0.0, "best": math.inf})
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
