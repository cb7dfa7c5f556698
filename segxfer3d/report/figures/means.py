"""Plots of what an arm reaches: dice against the number of labels, and patient by patient against another arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.report.figures.style import MARKERS, lines, new_plot, styled

_WIDTH = 0.62  # of all arms at one number of labels


@dataclass(frozen=True)
class Mean:
    """The mean of an arm: its interval (None: there is none), and the mean of each of its trainings."""

    value: float
    interval: tuple[float, float] | None
    seeds: tuple[float, ...]


def dice_over_labels(
    panels: Mapping[str, Mapping[str, Mapping[str, Mean]]], ylabel: str = "dice", xlabel: str = "labels"
) -> Figure:
    """Dice of each arm against the number of labels, with intervals; every training is a small point.

    Args:
        panels: title (of a data set) to labels in words, the fewest first, to arm to its mean.
        ylabel: what is measured.
        xlabel: what is labeled.

    Raises:
        InputError: nothing to draw.
    """
    if not panels or not all(arms for labels in panels.values() for arms in labels.values()):
        raise InputError("no means to draw, expected at least one in each panel")
    names = list(dict.fromkeys(arm for labels in panels.values() for arms in labels.values() for arm in arms))
    looks = lines(names)
    most = max(map(len, panels.values()))
    with styled():
        width = max(3.6, 0.5 + most * (0.35 + 0.16 * len(names)))
        figure, grid = new_plot(width * len(panels), 3.1, 1, len(panels), share_y=True)
        handles = {}
        for axis, (title, labels) in zip(grid[0], panels.items(), strict=True):
            for k, name in enumerate(names):
                shift = _WIDTH * ((k + 0.5) / len(names) - 0.5)
                places = [(x + shift, arms[name]) for x, arms in enumerate(labels.values()) if name in arms]
                if not places:
                    continue
                color, marker = looks[name][0], MARKERS[k % len(MARKERS)]
                seeds = [(x + 0.05, value) for x, mean in places for value in mean.seeds]
                axis.plot(*zip(*seeds, strict=True), ls="", marker=".", ms=4, color=color, alpha=0.6)
                bars = [(x, *mean.interval) for x, mean in places if mean.interval is not None]
                axis.vlines([x for x, _, _ in bars], [b[1] for b in bars], [b[2] for b in bars], color=color, lw=1.5)
                xs, values = [x for x, _ in places], [mean.value for _, mean in places]
                (handles[name],) = axis.plot(
                    xs, values, ls="", marker=marker, ms=6, color=color, mec="white", label=name
                )
            axis.set_xticks(range(len(labels)), list(labels))
            axis.set(title=title, xlabel=xlabel, xlim=(-0.5, len(labels) - 0.5))
            axis.grid(False, axis="x")
        grid[0][0].set_ylabel(ylabel)
        figure.legend(
            handles=[handles[name] for name in names], loc="upper center", bbox_to_anchor=(0.5, 0.0),
            ncols=min(len(names), max(3, 3 * len(panels))), title="mean with 95 % interval; small points: trainings",
        )  # fmt: skip
    return figure


@dataclass(frozen=True)
class Patients:
    """Two arms patient by patient: names, and the mean over trainings of each patient (patients,)."""

    arm: str
    reference: str
    values: NDArray[np.float64]
    of_reference: NDArray[np.float64]


def patient_scatter(panels: Mapping[str, Patients], what: str = "dice") -> Figure:
    """One arm against another, a point for each patient; above the line the arm is better.

    Args:
        panels: title to the two arms.
        what: is measured.

    Raises:
        InputError: nothing to draw.
    """
    if not panels or any(len(one.values) == 0 for one in panels.values()):
        raise InputError("no patients to draw, expected at least one in each panel")
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    low = min(min(one.values.min(), one.of_reference.min()) for one in panels.values())
    high = max(max(one.values.max(), one.of_reference.max()) for one in panels.values())
    ends = [low - 0.03 * (high - low) - 0.5, high + 0.03 * (high - low) + 0.5]
    looks = lines([one.arm for one in panels.values()])
    with styled():
        figure, grid = new_plot(3.1 * columns, 3.2 * rows, rows, columns, share_y=True)
        for axis, (title, one) in zip(grid.flat, panels.items(), strict=False):
            axis.plot(ends, ends, color="#444444", lw=0.8)
            axis.plot(one.of_reference, one.values, "o", ms=4, color=looks[one.arm][0], mec="white", mew=0.4, alpha=0.8)
            above = int((one.values > one.of_reference).sum())
            axis.set(
                title=f"{title}\n{above} of {len(one.values)} above", xlim=ends, ylim=ends, aspect="equal",
                xlabel=f"{what}, {one.reference}", ylabel=f"{what}, {one.arm}",
            )  # fmt: skip
            axis.xaxis.set_major_locator(MaxNLocator(5))
        for axis in grid.flat[len(panels) :]:
            axis.set_visible(False)
    return figure
