"""How soon an arm is nearly as good as it gets: steps to a share of the final dice, from the curve of each seed.

The paper's second finding is that pretrained networks converge faster; it shows curves and gives no such number. Here
it is the step at which a curve comes to 95 % of its last value. A curve goes up and down, so that it first *passes* the
level by chance, earlier the noisier it is, and its last value is as noisy. So both are read from a curve that is fitted
to it (:mod:`segxfer3d.statistics.saturation`). ``docs/results/convergence.md`` has what that brings: bias and intervals
of simulated curves, beside first passage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.statistics.interval import Interval, t_interval
from segxfer3d.statistics.pairs import BASELINE
from segxfer3d.statistics.saturation import PARAMETERS, Saturation, saturation
from segxfer3d.statistics.trainings import Levels, Pretrainings

Curve = Sequence[tuple[float, float]]
SEEDS_ALONE = Pretrainings()
FEWEST = PARAMETERS + 1  # evaluations of a curve that is fitted; of fewer, the straight lines between them are read


@dataclass(frozen=True)
class Convergence:
    """How soon one arm converges.

    Attributes:
        arm: which.
        steps: mean over seeds of the step at which the level is reached; a lower bound where ``never`` is not empty.
        interval: 95 %, Student's over seeds; over pretrainings where those are repeated, a value for each being the
            mean of its seeds, and None where seeds and pretrainings are crossed. None for a single one, too, or where a
            seed never came there.
        difference: mean over seeds of steps less the reference's steps with the same seed; below 0 is faster.
        difference_interval: of it, as ``interval``, the reference's seeds included; (0, 0) for the reference itself.
        differences: what that is made from: one for each seed or pretraining; empty where they are crossed.
        levels: what ``differences`` are of.
        bound: of ``difference``, where a seed never came there: ``>`` where it is at least that, ``<`` at most (the
            reference never came there), ``?`` where either may be.
        seed_steps: the step of each seed.
        seeds: the seeds, sorted.
        never: seeds that did not reach the level; they count with their last step.
        final: mean over seeds of the final dice, as the levels take it. Without it, steps to an arm's own level
            mislead: an arm that stays poor is soon as good as it gets.
    """

    arm: str
    steps: float
    interval: Interval | None
    difference: float
    difference_interval: Interval | None
    differences: tuple[float, ...]
    levels: Levels
    bound: Literal["", ">", "<", "?"]
    seed_steps: tuple[float, ...]
    seeds: tuple[int, ...]
    never: tuple[int, ...]
    final: float


def first_reached(curve: Curve, level: float) -> float | None:
    """Step at which a curve first reaches a level, interpolated between evaluations; None where it never does.

    A curve that starts at or above the level gives its first step: when before that it got there is not known.

    Example:
        >>> first_reached([(100, 0.0), (200, 0.4), (300, 0.8)], 0.6)
        250.0
    """
    before: tuple[float, float] | None = None
    for step, value in curve:
        if value >= level:
            if before is None:
                return float(step)
            return float(before[0] + (step - before[0]) * (level - before[1]) / (value - before[1]))
        before = (step, value)
    return None


def converge(
    curves: Mapping[str, Mapping[int, Curve]],
    share: float = 0.95,
    level_of: str | None = None,
    reference: str = BASELINE,
    pretrainings: Pretrainings = SEEDS_ALONE,
) -> list[Convergence]:
    """How soon each arm converges, at one label budget.

    The final dice of a curve is the value of its fit at the last step; one that ends at 0 or below has learned nothing
    and never reaches its level. A curve that comes to its level before its first evaluation counts with that one's
    step. Intervals come from trainings alone, because curves have no cases. Where pretrainings are repeated and nested,
    means are over them, each with the mean of its seeds, as those of dice are.

    Args:
        curves: for each arm and seed the (step, dice) of every evaluation, steps ascending.
        share: of the final dice that is the level, in (0, 1].
        level_of: the arm whose final dice (with the same seed) sets the level for all; None: each arm's own.
        reference: the arm that the others are compared with.
        pretrainings: which arms repeat theirs.

    Raises:
        InputError: fewer than two arms, an unknown arm, seeds that differ between arms, a curve of fewer than two
            points, with steps that do not ascend or values that are not finite, or a share out of range.
    """
    _check(curves, share, [reference] if level_of is None else [reference, level_of])
    seeds = sorted(next(iter(curves.values())))
    read = {arm: _Reader([of_seed[seed] for seed in seeds]) for arm, of_seed in curves.items()}
    steps, never = {}, {}
    for arm, reader in read.items():
        reached = reader.reached(share * read[level_of or arm].final)
        never[arm] = tuple(s for s, step in zip(seeds, reached, strict=True) if np.isnan(step))
        steps[arm] = np.where(np.isnan(reached), reader.ends, reached)
    found = []
    for arm in curves:
        own = _by_level(steps[arm], seeds, pretrainings, [arm])
        less = steps[arm] - steps[reference]
        differences = _by_level(less, seeds, pretrainings, [arm, reference])
        found.append(
            Convergence(
                arm=arm,
                steps=float(np.mean(own or steps[arm])),
                interval=None if never[arm] else t_interval(own),
                difference=float(np.mean(differences or less)),
                difference_interval=None if never[arm] or never[reference] else t_interval(differences),
                differences=differences,
                levels=pretrainings.levels([arm, reference]),
                bound=_bound(never[arm], never[reference]) if arm != reference else "",
                seed_steps=tuple(steps[arm].tolist()),
                seeds=tuple(seeds),
                never=never[arm],
                final=float(read[arm].final.mean()),
            )
        )
    return found


def _by_level(
    values: NDArray[np.float64], seeds: Sequence[int], pretrainings: Pretrainings, arms: Sequence[str]
) -> tuple[float, ...]:
    """Independent values: of each seed, or the mean of each pretraining; none where both are crossed."""
    levels = pretrainings.levels(arms)
    if levels == "crossed":
        return ()
    if levels == "seeds":
        return tuple(values.tolist())
    of: dict[int, list[float]] = {}
    for seed, value in zip(seeds, values.tolist(), strict=True):
        of.setdefault(pretrainings.of_seed[seed], []).append(value)
    return tuple(float(np.mean(of[pretraining])) for pretraining in sorted(of))


def _bound(never: Sequence[int], reference_never: Sequence[int]) -> Literal["", ">", "<", "?"]:
    """What a mean of differences bounds, where some of the steps are lower bounds."""
    if never and reference_never:
        return "?"
    return ">" if never else "<" if reference_never else ""


@lru_cache(maxsize=256)  # an arm is read against itself, against the reference, and for the claims
def _fitted(steps: tuple[float, ...], values: tuple[tuple[float, ...], ...]) -> Saturation:
    return saturation(np.array(steps), np.array(values))


class _Reader:
    """The curves of an arm, seed by seed: where each ends, and when it comes to a level.

    Args:
        curves: of the seeds; those with the same steps are fitted together.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = curves
        self.ends = np.array([curve[-1][0] for curve in curves], dtype=np.float64)
        self.final = np.array([curve[-1][1] for curve in curves], dtype=np.float64)
        alike: dict[tuple[float, ...], list[int]] = {}
        for index, curve in enumerate(curves):
            if len(curve) >= FEWEST:
                alike.setdefault(tuple(step for step, _ in curve), []).append(index)
        self.fits = [
            (rows, _fitted(steps, tuple(tuple(dice for _, dice in curves[row]) for row in rows)))
            for steps, rows in alike.items()
        ]
        for rows, fit in self.fits:
            self.final[rows] = fit.last

    def reached(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Step at which each curve comes to its level; NaN where it never does, or the level is not above 0."""
        steps = np.array([
            np.nan if (step := first_reached(curve, level)) is None else step
            for curve, level in zip(self.curves, levels, strict=True)
        ])  # fmt: skip
        for rows, fit in self.fits:
            firsts = [self.curves[row][0][0] for row in rows]
            steps[rows] = np.maximum(fit.reached(levels[rows]), firsts)
        return np.where(levels > 0, steps, np.nan)


def _check(curves: Mapping[str, Mapping[int, Curve]], share: float, named: Sequence[str]) -> None:
    if len(curves) < 2:
        raise InputError(f"curves of {len(curves)} arms: expected at least two to compare")
    for arm in named:
        if arm not in curves:
            raise InputError(f"unknown arm {arm!r}: expected one of {', '.join(curves)}")
    if not 0 < share <= 1:
        raise InputError(f"share: expected a number above 0 and at most 1, got {share}")
    seeds = sorted({s for of_seed in curves.values() for s in of_seed})
    missing = [f"{arm} with seed {s}" for arm, of_seed in curves.items() for s in seeds if s not in of_seed]
    if missing or not seeds:
        raise InputError(f"curves missing, so that seeds cannot be paired: {'; '.join(missing) or 'no seed at all'}")
    for arm, of_seed in curves.items():
        for s, curve in of_seed.items():
            points = np.array(curve, dtype=np.float64)
            if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 2 or not np.isfinite(points).all():
                raise InputError(
                    f"curve of {arm} with seed {s}: expected (step, dice) of at least two evaluations, all finite"
                )
            if (np.diff(points[:, 0]) <= 0).any():
                raise InputError(f"curve of {arm} with seed {s}: expected steps that ascend")
