"""The learning rate for a number of steps: a rule, and a range test for what the rule does not know."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from segxfer3d import documents
from segxfer3d.errors import InputError
from segxfer3d.run import processes
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.trial import Trial

# Optimizer to (steps of a training, peak learning rate), rising in steps; between two rows the logarithms of both are
# interpolated, outside the nearest row counts. Tried with 200 to 3,100 steps, the rest is extrapolated; for schedules
# that fall to 0. That of "nesterov" is nnU-Net's (Isensee et al., Nature Methods 18, 2021).
RULE: dict[str, tuple[tuple[int, float], ...]] = {
    "adamw": ((1_000, 0.01), (100_000, 0.001)),
    "adam": ((1_000, 0.01), (100_000, 0.001)),
    "nesterov": ((1, 0.01),),
}
RECORD = "rate"  # the run's record of what was found
SMOOTHING = 0.8  # of the losses of a range test
BLOWN_UP = 1.5  # a loss this many times the lowest ends it
SAFETY = 10.0  # the rate of the lowest loss is too large by about this much


def rate_for(steps: int, *, optimizer_name: str) -> float:
    """The peak learning rate of a training of so many steps, by :data:`RULE`.

    Args:
        steps: of the whole training.
        optimizer_name: one that the rule knows.

    Raises:
        InputError: the rule does not know the optimizer.

    Example:
        >>> rate_for(180, optimizer_name="adamw"), round(rate_for(10_000, optimizer_name="adamw"), 4)
        (0.01, 0.0032)
    """
    if optimizer_name not in RULE:
        raise InputError(
            f"lr: no rule says it for {optimizer_name} (only for {', '.join(RULE)}); expected a number, such as "
            "--lr 0.01"
        )
    rows = RULE[optimizer_name]
    place = bisect_left(rows, steps, key=lambda row: row[0])
    if place == 0 or place == len(rows):
        return rows[min(place, len(rows) - 1)][1]
    (few, first), (many, second) = rows[place - 1 : place + 1]
    share = math.log(steps / few) / math.log(many / few)
    return float(first * (second / first) ** share)


def peak_rate(
    lr: float | None, *, steps: int, optimizer_name: str, range_test: bool, trial: Trial, run: RunFolder
) -> float:
    """The peak learning rate: as asked for, else found.

    Args:
        lr: as asked for, or as the recipe has it; None to find it.
        steps: of the whole training.
        optimizer_name: of the optimizer.
        range_test: find it by :func:`find_rate`, whatever ``lr`` is: not by :data:`RULE`, nor as the recipe has it.
        trial: takes the steps of a range test.
        run: told what was found; records it, and a run that goes on takes it from there.

    Raises:
        InputError: as :func:`rate_for` and :func:`find_rate`; or a run that goes on lacks its record.
    """
    if lr is not None and not range_test:
        return lr
    if run.goes_on_with(RECORD):
        return _recorded(run)
    if range_test:
        test = find_rate(trial)
        rate, text = float(processes.of_first(repr(test.rate))), processes.of_first(test.text())
    else:
        rate = rate_for(steps, optimizer_name=optimizer_name)
        text = f"lr {rate:.3g}: the rule for {steps} steps of {optimizer_name}; --lr sets another"
    run.record(RECORD, {"lr": rate, "why": text})
    run.say(text)
    return rate


def _recorded(run: RunFolder) -> float:
    after = "; it says the learning rate of this run: start a new one"
    content = documents.own(run.path / f"{RECORD}.json", before="resume: ", after=after)
    return float(content["lr"])


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw.

    Attributes:
        rates: learning rates of its steps, rising.
        losses: smoothed, one a step.
        rate: that it proposes.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    rate: float

    def text(self) -> str:
        """A line for the console."""
        return (
            f"lr {self.rate:.2g} by a range test: the loss fell from {self.losses[0]:.3f} to {min(self.losses):.3f} at "
            f"{self.rates[self.losses.index(min(self.losses))]:.2g}, {len(self.rates)} steps from {self.rates[0]:.2g} "
            f"to {self.rates[-1]:.2g}"
        )


def find_rate(trial: Trial, *, lowest: float = 1e-5, highest: float = 1.0, steps: int = 60) -> RangeTest:
    """A learning rate by a range test (Smith, Cyclical Learning Rates for Training Neural Networks, 2017).

    A copy of the network is trained with a rate that grows by a constant factor at each step, until the loss blows up.
    Losses are smoothed by an exponential mean without its bias toward the start; the rate of the lowest, divided by
    :data:`SAFETY`, is proposed: at the lowest itself what was gained before is being lost already.

    Args:
        trial: takes the steps.
        lowest, highest: rates of the first and the last step.
        steps: at most, at least 10.

    Raises:
        InputError: limits that cannot be, or a loss that is no number, or does not fall, whatever the rate.
    """
    if not (0 < lowest < highest and steps >= 10):
        raise InputError(
            f"range test: expected 0 < lowest < highest and 10 steps or more, got {lowest}, {highest}, {steps}"
        )
    factor = (highest / lowest) ** (1 / (steps - 1))
    rates = [lowest * factor**step for step in range(steps)]
    taken = trial.run(rates, enough=lambda done: _blown_up(smoothed([step.loss for step in done])))
    losses = smoothed([step.loss for step in taken if math.isfinite(step.loss)])
    if len(losses) < 2 or min(losses) >= losses[0]:
        raise InputError(
            f"range test: the loss does not fall at any rate from {lowest:g} to {rates[len(taken) - 1]:g}; expected a "
            "number for --lr, and data that can be learned"
        )
    best = rates[losses.index(min(losses))]
    return RangeTest(tuple(rates[: len(losses)]), tuple(losses), best / SAFETY)


def smoothed(losses: Sequence[float]) -> list[float]:
    """Exponential means, each over what came before: the weights of the latest are 1, s, s^2 ... over their sum."""
    means, total, weight = [], 0.0, 0.0
    for loss in losses:
        total, weight = SMOOTHING * total + loss, SMOOTHING * weight + 1
        means.append(total / weight)
    return means


def _blown_up(losses: Sequence[float]) -> bool:
    return not math.isfinite(losses[-1]) or losses[-1] > BLOWN_UP * min(losses)
