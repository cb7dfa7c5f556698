"""Plots of numbers: dice over steps, differences with their intervals, and the similarity of representations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from segxfer3d.errors import InputError
from segxfer3d.report.figures.style import HEAT, lines, new_figure, styled

Curve = tuple[ArrayLike, ArrayLike]


def dice_over_steps(
    panels: Mapping[str, Mapping[str, Curve]], ylabel: str = "dice, validation part", ylim: tuple[float, float] = (0, 1)
) -> Figure:
    """Dice over training steps for each initialization (the paper's Figure 4).

    The line is the mean of the seeds, the band one standard deviation (the sample's, n - 1) to both sides; one seed has
    no band.

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
        figure = new_figure(3.6 * len(panels), 3.3)
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        handles = {}
        for axis, (title, arms) in zip(axes, panels.items(), strict=True):
            for name, (steps, values) in arms.items():
                x, y = np.asarray(steps, float), np.asarray(values, float)
                if x.ndim != 1 or y.ndim != 2 or y.shape[1] != len(x) or not len(y):
                    raise InputError(f"{title}, {name}: steps {x.shape} and dice {y.shape}, expected (T,), (seeds, T)")
                color, dash = looks[name]
                (handles[name],) = axis.plot(x, y.mean(axis=0), color=color, ls=dash, lw=1.8, label=name)
                seeds.add(len(y))
                if len(y) > 1:
                    deviation = y.std(axis=0, ddof=1)
                    low, high = y.mean(axis=0) - deviation, y.mean(axis=0) + deviation
                    axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
            axis.set(title=title, xlabel="training step", ylim=ylim)
            axis.margins(x=0)
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[0].set_ylabel(ylabel)
        count = str(seeds.pop()) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
        note = "1 seed" if count == "1" else f"mean of {count} seeds, band: ± 1 standard deviation"
        figure.legend(
            handles=[handles[name] for name in names],
            loc="outside lower center",
            ncols=min(len(names), max(2, 3 * len(panels))),
            title=note,
        )
    return figure


@dataclass(frozen=True)
class Bar:
    """A difference in a forest plot: its name, the interval (None: there is none) and the color of its arm."""

    name: str
    difference: float
    interval: tuple[float, float] | None
    color: str


def forest(panels: Mapping[str, Sequence[Bar]], xlabel: str = "difference of dice") -> Figure:
    """Differences with their intervals, one below the other, a panel for each title.

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
        figure = new_figure(6.4, 0.3 * sum(counts) + 0.45 * len(panels) + 0.5)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=[n + 0.6 for n in counts])[
            :, 0
        ]
        for axis, (title, bars) in zip(axes, panels.items(), strict=True):
            axis.axvline(0, color="#444444", lw=0.8)
            for y, bar in enumerate(bars):
                if bar.interval is not None:
                    axis.plot(bar.interval, [y, y], color=bar.color, lw=2, solid_capstyle="butt")
                axis.plot(bar.difference, y, "o", color=bar.color, ms=5, mfc=bar.color if bar.interval else "white")
            axis.set_yticks(range(len(bars)), [bar.name for bar in bars])
            axis.set(ylim=(len(bars) - 0.4, -0.6), title=title)
            axis.title.set_horizontalalignment("left")
            axis.title.set_x(0)
            axis.grid(False, axis="y")
        axes[-1].set_xlabel(xlabel)
    return figure


def cka_heat_map(names: Sequence[str], matrix: ArrayLike, title: str = "linear CKA, unbiased") -> Figure:
    """Similarity of every pair of representations (the paper's Figure 7); colors from 0 to 1, the value in each field.

    Args:
        names: of the m networks.
        matrix: (m, m); NaN (no similarity can be told) is left white.
        title: says which estimate it is.

    Raises:
        InputError: a matrix that does not fit the names.
    """
    values = np.asarray(matrix, float)
    if not names or values.shape != (len(names), len(names)):
        raise InputError(f"CKA matrix of shape {values.shape} for {len(names)} names: expected one row and column each")
    side = 0.62 * len(names)
    with styled():
        figure = new_figure(max(side, 1.9) + 2.0, max(side, 1.9) + 1.3)
        axis = figure.subplots()
        picture = axis.imshow(np.ma.masked_invalid(values), cmap=HEAT, vmin=0, vmax=1)
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        slant: dict[str, Any] = {}
        if max(map(len, names)) > 8:
            slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axis.set_xticks(range(len(names)), names, **slant)
        axis.set_yticks(range(len(names)), names)
        axis.set_title(title)
        for (i, j), value in np.ndenumerate(values):
            # + 0.0 after rounding: no "-0.00"
            text = "–" if np.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
            red, green, blue, _ = colormaps[HEAT](0.0 if np.isnan(value) else min(max(value, 0.0), 1.0))
            dark = not np.isnan(value) and 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            axis.text(j, i, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        figure.colorbar(picture, ax=axis, shrink=0.8).outline.set_visible(False)
    return figure
