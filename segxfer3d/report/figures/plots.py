"""Plots of numbers: dice over steps, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from segxfer3d.errors import InputError
from segxfer3d.report.figures.style import lines, new_plot, styled

Curve = tuple[ArrayLike, ArrayLike]


def dice_over_steps(
    panels: Mapping[str, Mapping[str, Curve]], ylabel: str = "dice, validation part", ylim: tuple[float, float] = (0, 1)
) -> Figure:
    """Dice over training steps for each initialization (the paper's Figure 4).

    The line is the mean of the seeds, each of which is a point at each step; the band is one standard deviation (the
    sample's, n - 1) to both sides; one seed has none.

    Args:
        panels: title (for example the number of labeled patients) to name of the initialization to a curve: steps (T,)
            and dice (seeds, T).
        ylabel: what is measured, and on which part of the data.
        ylim: of all panels.

    Raises:
        InputError: nothing to draw, or a curve whose steps and values do not fit.
    """
    if not panels or not all(panels.values()):
        raise InputError("no curves to draw, expected at least one in each panel")
    names = list(dict.fromkeys(name for arms in panels.values() for name in arms))
    looks = lines(names)
    seeds = set()
    with styled():
        figure, grid = new_plot(3.6 * len(panels), 3.1, 1, len(panels), share_y=True)
        axes = grid[0]
        handles = {}
        for axis, (title, arms) in zip(axes, panels.items(), strict=True):
            for name, (steps, values) in arms.items():
                x, y = np.asarray(steps, float), np.asarray(values, float)
                if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x) or not len(y):
                    raise InputError(f"{title}, {name}: steps {x.shape} and dice {y.shape}, expected (T,), (seeds, T)")
                handles[name] = _mean_and_band(axis, x, y, name, looks[name])
                seeds.add(len(y))
            axis.set(title=title, xlabel="training step", ylim=ylim)
            axis.margins(x=0.03)  # so that the points of the first and the last step are whole
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 2.5, 5, 10]))
        axes[0].set_ylabel(ylabel)
        count = str(seeds.pop()) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
        note = "1 seed" if count == "1" else f"mean of {count} seeds, each a point; band: ± 1 standard deviation"
        figure.legend(
            handles=[handles[name] for name in names],
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            ncols=min(len(names), max(2, 3 * len(panels))),
            title=note,
        )
    return figure


def _mean_and_band(
    axis: Axes, steps: NDArray[np.float64], values: NDArray[np.float64], name: str, look: tuple[str, str]
) -> Line2D:
    """The mean of the seeds as a line, one standard deviation to both sides as a band."""
    color, dash = look
    mean = values.mean(axis=0)
    (line,) = axis.plot(steps, mean, color=color, ls=dash, lw=1.8, label=name)
    if len(values) > 1:
        axis.plot(np.tile(steps, len(values)), values.ravel(), ls="", marker=".", ms=2.5, color=color, alpha=0.6)
        deviation = values.std(axis=0, ddof=1)
        axis.fill_between(steps, mean - deviation, mean + deviation, color=color, alpha=0.15, linewidth=0)
    return line


@dataclass(frozen=True)
class Bar:
    """A difference in a forest plot: its name, the interval (None: there is none), the color of its arm, and the
    difference of each seed or pretraining."""

    name: str
    difference: float
    interval: tuple[float, float] | None
    color: str
    seeds: tuple[float, ...] = ()


def forest(panels: Mapping[str, Sequence[Bar]], xlabel: str = "difference of dice") -> Figure:
    """Differences with their intervals, one below the other, a panel for each title; seeds are small points below.

    Args:
        panels: title (for example the number of labeled patients) to what is drawn, the first on top.
        xlabel: of the shared axis.

    Raises:
        InputError: nothing to draw.
    """
    if not panels or not all(panels.values()):
        raise InputError("no differences to draw, expected at least one in each panel")
    counts = [len(bars) for bars in panels.values()]
    with styled():
        height = 0.32 * sum(counts) + 0.5 * len(panels) + 0.5
        figure, grid = new_plot(6.4, height, len(panels), heights=[n + 0.6 for n in counts], share_x=True)
        axes = grid[:, 0]
        for axis, (title, bars) in zip(axes, panels.items(), strict=True):
            axis.axvline(0, color="#444444", lw=0.8)
            for y, bar in enumerate(bars):
                if bar.interval is not None:
                    axis.plot(bar.interval, [y, y], color=bar.color, lw=2, solid_capstyle="butt")
                axis.plot(bar.seeds, [y + 0.24] * len(bar.seeds), ".", color=bar.color, ms=4, alpha=0.7)
                axis.plot(bar.difference, y, "o", color=bar.color, ms=5, mfc=bar.color if bar.interval else "white")
            axis.set_yticks(range(len(bars)), [bar.name for bar in bars])
            axis.set(ylim=(len(bars) - 0.4, -0.6), title=title)
            axis.title.set_horizontalalignment("left")
            axis.title.set_x(0)
            axis.grid(False, axis="y")
        axes[-1].set_xlabel(xlabel)
    return figure
