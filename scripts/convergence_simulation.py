"""Simulate trainings whose time to converge is known, and write how well it is found.

``python scripts/convergence_simulation.py [--studies 1000]`` writes ``docs/results/convergence.json`` and the page
``docs/results/convergence.md`` beside it; ``--page`` writes the page alone. Every study has two arms with the same
seeds, the second 25 % faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from simulations import command

from segxfer3d.statistics.convergence import converge, first_reached
from segxfer3d.statistics.interval import t_interval

OUTPUT = Path(__file__).parents[1] / "docs" / "results" / "convergence.json"
STUDIES = 1000
SEEDS, NOISES, EVALUATIONS = (3, 5, 10), (0.0, 3.0, 5.0), (8, 20)
LAST = 120.0  # step
RATE, FASTER, SPREAD = 40.0, 0.75, 0.1  # of the slow arm, of the other, and the seeds' SD of its logarithm
FINAL, FINAL_SPREAD = 60.0, 3.0
SHARE = 0.95

Floats = NDArray[np.float64]


def exponential(steps: Floats, rate: Floats) -> Floats:
    """Fast at first, then ever slower."""
    return 1 - np.exp(-steps / rate)


def delayed(steps: Floats, rate: Floats) -> Floats:
    """Nothing for half of the rate, then exponential."""
    return 1 - np.exp(-np.maximum(steps - rate / 2, 0) / (0.8 * rate))


def s_shaped(steps: Floats, rate: Floats) -> Floats:
    """A logistic curve from 0."""
    start = 1 / (1 + math.exp(1.6 / 0.45))
    return 1 / (1 + np.exp(-(steps - 1.6 * rate) / (0.45 * rate))) - start


def two_speeds(steps: Floats, rate: Floats) -> Floats:
    """Three quarters twice as fast as the rate, a quarter half as fast: no curve that is fitted looks like it."""
    return 0.75 * (1 - np.exp(-steps / (rate / 2))) + 0.25 * (1 - np.exp(-steps / (2.2 * rate)))


SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "exponential": exponential, "delayed": delayed, "S-shaped": s_shaped, "two speeds": two_speeds,
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """How simulated studies are made.

    Attributes:
        shape: of the curves.
        evaluations: of each curve, evenly spaced.
        seeds: how many.
        noise: standard deviation of an evaluation, in dice points.
    """

    shape: str
    evaluations: int
    seeds: int
    noise: float


def all_settings() -> list[Setting]:
    """Those of the page."""
    return [Setting(*each) for each in product(SHAPES, EVALUATIONS, SEEDS, NOISES)]


def truth(shape: str, rate: float) -> float:
    """Mean over all seeds of the step at which the curve without noise comes to its level."""
    steps = np.linspace(0, LAST, 4801)
    rates = rate * np.exp(SPREAD * special.ndtri((np.arange(400) + 0.5) / 400))
    found = []
    for of_seed in rates:
        values = SHAPES[shape](steps, of_seed)
        found.append(np.interp(SHARE * values[-1], values, steps))
    return float(np.mean(found))


def simulate(setting: Setting, studies: int, seed: int = 0) -> dict[str, float]:
    """What is found in such studies.

    Returns:
        ``true`` steps of the slow arm; ``fit`` and ``passage``, the mean of what is found by the fit that reports use,
        and by first passage through a share of the last value; ``fit_holds`` and ``passage_holds``, the shares of the
        95 % intervals that hold the truth; ``difference``, true, as found, and ``difference_holds``.
    """
    rng = np.random.default_rng(
        [seed, *map(ord, setting.shape), setting.evaluations, setting.seeds, int(setting.noise)]
    )
    steps = np.linspace(LAST / setting.evaluations, LAST, setting.evaluations)
    true = [truth(setting.shape, rate) for rate in (RATE, FASTER * RATE)]
    sums = dict.fromkeys(("fit", "passage", "found", "fit_holds", "passage_holds", "difference_holds"), 0.0)
    for _ in range(studies):
        of_seed = np.exp(SPREAD * rng.standard_normal((2, setting.seeds)))  # arms do not share their luck
        finals = FINAL + FINAL_SPREAD * rng.standard_normal((2, setting.seeds))
        rates = np.array([[RATE], [FASTER * RATE]]) * of_seed
        values = finals[..., None] * SHAPES[setting.shape](steps, rates[..., None])
        values = values + setting.noise * rng.standard_normal(values.shape)
        curves = {
            arm: {k: list(zip(steps.tolist(), one.tolist(), strict=True)) for k, one in enumerate(of_arm)}
            for arm, of_arm in zip(("random", "encoder"), values, strict=True)
        }
        slow, fast = converge(curves, SHARE)
        passed = [first_reached(curve, SHARE * curve[-1][1]) or math.nan for curve in curves["random"].values()]
        sums["fit"] += slow.steps
        sums["passage"] += float(np.mean(passed))
        sums["found"] += fast.difference
        sums["fit_holds"] += _holds(slow.interval, true[0])
        sums["passage_holds"] += _holds(t_interval(passed), true[0])
        sums["difference_holds"] += _holds(fast.difference_interval, true[1] - true[0])
    means = {name: value / studies for name, value in sums.items()}
    return {"true": true[0], "difference": true[1] - true[0], **means}


def _holds(interval: tuple[float, float] | None, value: float) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


def page(records: Sequence[dict[str, Any]]) -> str:
    """The page, in Markdown."""
    studies = records[0]["studies"]
    lines = [HEAD.format(studies=studies, error=100 * math.sqrt(0.05 * 0.95 / studies)), ""]
    lines += [
        "| curve | evaluations | seeds | noise | true steps | passage | holds | fit | holds "
        "| true difference | fit | holds |",
        "| --- |" + " --- |" * 11,
    ]
    for record in records:
        setting, found = record["setting"], record["found"]
        cells = [setting["shape"], setting["evaluations"], setting["seeds"], f"{setting['noise']:g}"]
        cells += [f"{found['true']:.1f}", f"{found['passage']:.1f}", f"{100 * found['passage_holds']:.1f}"]
        cells += [f"{found['fit']:.1f}", f"{100 * found['fit_holds']:.1f}"]
        cells += [f"{found['difference']:.1f}", f"{found['found']:.1f}", f"{100 * found['difference_holds']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", TAIL])


HEAD = """# Steps to 95 % of the final dice: how well they are found

Written by `python scripts/convergence_simulation.py` from [convergence.json](convergence.json). Each row is {studies}
simulated studies of two arms, judged by the function that a report calls; a share of 95 % has a standard error of
{error:.1f}. Curves of 120 steps end near 60 dice points (SD 3 between seeds); rates differ by 10 % between seeds; the
second arm is a quarter faster, and its difference is to the first with the same seed, which share nothing here.

- noise: standard deviation of one evaluation, in dice points.
- passage: the mean of the steps at which the curve first passes 95 % of its last value, as reports said before;
  holds: the share, in percent, of the 95 % intervals over seeds that hold the true steps.
- fit: the same for the curve that is fitted to the evaluations (`segxfer3d/statistics/saturation.py`), which reports
  say now. The last three columns are the difference of the second arm to the first."""
TAIL = """First passage comes too early where evaluations are noisy, the earlier the more of them there are: by 14 steps
of 93 with 20 evaluations and noise of 5 points, and with ten seeds half of its intervals miss the truth. The fit is
within 2 steps of the truth up to a noise of 3 points, within 4 at 5 points, for curves of the kinds that it knows
(exponential, delayed, S-shaped); 87 to 96 of 100 intervals hold the truth. Differences come out too small by up to 3
steps where there is noise, and 91 to 96 of 100 of their intervals hold. A curve of two speeds the fit does not know: it
is early by 2 to 5 steps, without any noise too, and there ten seeds know the wrong number well (17 of 100). Look at the
curves.
"""


def main() -> None:
    """Simulate, and write both files."""
    command(__doc__, OUTPUT, studies=STUDIES, settings=all_settings(), simulate=simulate, page=page)


if __name__ == "__main__":
    main()
