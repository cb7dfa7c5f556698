"""Pictures of cases: data sets with their masks, reconstructions, and the masks of every initialization side by side.

What images and label maps are, :mod:`~segxfer3d.report.figures.panels` says. Of a volume one slice is drawn, as
radiologists expect it (:mod:`~segxfer3d.evaluation.slices`); every figure says so, and marks left and right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.evaluation.slices import largest_slice
from segxfer3d.report.figures.panels import (
    Sample,
    View,
    check_image,
    class_colors,
    legend_below,
    outline,
    panel_grid,
    ratio,
    show,
    view_of,
    write,
)
from segxfer3d.report.figures.style import PREDICTION, TRUTH, styled

__all__ = ["Sample", "dataset_gallery", "mask_gallery", "reconstruction_gallery"]

_FILL = 0.35  # opacity of a mask over its image


def mask_gallery(
    samples: Sequence[Sample],
    predictions: Mapping[str, Sequence[NDArray[Any]]],
    classes: Mapping[int, str],
    window: tuple[float, float] = (0.0, 1.0),
    plane: str = "axial",
    margin: int | None = None,
    dice: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Truth and prediction of every initialization, side by side (the paper's Figure 6).

    A row for each sample, a column for the image and one for each initialization. Of a volume the slice with the
    largest area of the true label is drawn, the same for all columns. With one class, truth and prediction differ in
    color; with several, the color is the class, the truth solid and the prediction dashed.

    Args:
        samples: at least one, with the true labels.
        predictions: name of the initialization to label maps, in the order of the samples.
        classes: label value to name.
        window: intensities that become black and white.
        plane: ``axial``, ``coronal`` or ``sagittal``; for volumes.
        margin: pixels to show around the true label; None for all of the slice.
        dice: name of the initialization to a dice for each sample, printed in its panel.

    Raises:
        InputError: nothing to draw, or predictions that do not fit the samples.
    """
    _check_samples(samples, predictions, dice or {})
    colors = class_colors(classes)
    several = len(classes) > 1
    with styled():
        views = [view_of(sample, plane, margin) for sample in samples]
        ratios = [ratio(view, sample.label) for view, sample in zip(views, samples, strict=True)]
        figure, axes = panel_grid(len(samples), 1 + len(predictions), ratios, titles=1, below=0.55)
        for i, (row, sample, view) in enumerate(zip(axes, samples, views, strict=True)):
            picture = view.image(sample.image)
            for axis, name in zip(row, ("image", *predictions), strict=True):
                show(axis, picture, view, window, marked=name == "image")
                if i == 0:
                    axis.set_title(name)
                if name not in predictions:
                    axis.set_ylabel(_row_label(sample, view), fontsize=7)
                    continue
                for value in classes:
                    truth, predicted = (view.label(m) == value for m in (sample.label, predictions[name][i]))
                    outline(axis, truth, colors[value] if several else TRUTH)
                    outline(axis, predicted, colors[value] if several else PREDICTION, "--" if several else "-")
                if dice and name in dice:
                    write(axis, 0.03, 0.03, f"dice {dice[name][i]:.2f}", ha="left", va="bottom")
        legend_below(figure, _mask_handles(classes, colors), plane, any(view.number is not None for view in views))
    return figure


def _mask_handles(classes: Mapping[int, str], colors: Mapping[int, str]) -> list[Line2D]:
    """The legend of truth and prediction: by color with one class, by line with several, whose colors are theirs."""
    if len(classes) > 1:
        handles = [Line2D([], [], color=colors[value], label=classes[value]) for value in sorted(classes)]
        return handles + [
            Line2D([], [], color="black", ls=dash, label=words)
            for dash, words in (("-", "truth"), ("--", "prediction"))
        ]
    return [Line2D([], [], color=c, label=words) for c, words in ((TRUTH, "truth"), (PREDICTION, "prediction"))]


def _row_label(sample: Sample, view: View) -> str:
    lone = view.number is None or 1 in sample.label.shape  # a slice that was cut out before has no number
    return sample.name if lone else f"{sample.name}\nslice {view.number}"


def _check_samples(
    samples: Sequence[Sample], predictions: Mapping[str, Sequence[NDArray[Any]]], dice: Mapping[str, Sequence[float]]
) -> None:
    if not samples:
        raise InputError("no samples to draw, expected at least one")
    for name, of_samples in [*predictions.items(), *dice.items()]:
        if len(of_samples) != len(samples):
            raise InputError(f"{name}: {len(of_samples)} masks or figures for {len(samples)} samples")
    for name, masks in predictions.items():
        for sample, mask in zip(samples, masks, strict=True):
            if mask.shape != sample.label.shape:
                raise InputError(
                    f"{name}, {sample.name}: a mask of shape {mask.shape}, expected its label's, {sample.label.shape}"
                )


def reconstruction_gallery(
    columns: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    window: tuple[float, float] = (0.0, 1.0),
    plane: str = "axial",
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Figure:
    """What a reconstruction pretext sees, gives and should give (the paper's Figure 3).

    A row for each image; of volumes the middle slice.

    Args:
        columns: title to images (N, C, *spatial), usually input, corrupted, output and target; channels may differ from
            column to column (a mask beside color images).
        names: of the N images.
        window: intensities that become black and white.
        plane: ``axial``, ``coronal`` or ``sagittal``; for volumes.
        spacing: of volumes, millimeters along x, y, z.

    Raises:
        InputError: nothing to draw, or columns of different numbers or grids.
    """
    if not columns or not names:
        raise InputError("no images to draw, expected at least one column and one name")
    grids = {title: (len(images), *images.shape[2:]) for title, images in columns.items()}
    grid = next(iter(grids.values()))
    if set(grids.values()) != {(len(names), *grid[1:])}:
        raise InputError(f"images (N, *spatial) of {grids}: expected one grid and N = {len(names)}, as many as names")
    for title, images in columns.items():
        check_image(title, images[0])
    with styled():
        number = largest_slice(np.zeros(grid[1:]), plane) if len(grid) == 4 else None
        view = View(plane, number, spacing)
        ratios = [ratio(view, np.zeros(grid[1:]))] * len(names)
        figure, axes = panel_grid(len(names), len(columns), ratios, titles=1, below=0.3)
        for i, (row, name) in enumerate(zip(axes, names, strict=True)):
            for j, (axis, (title, images)) in enumerate(zip(row, columns.items(), strict=True)):
                show(axis, view.image(images[i]), view, window, marked=j == 0)
                if i == 0:
                    axis.set_title(title)
            row[0].set_ylabel(name, fontsize=7)
        legend_below(figure, [], plane, number is not None)
    return figure


def dataset_gallery(
    samples: Sequence[Sample],
    classes: Mapping[int, str],
    columns: int = 6,
    window: tuple[float, float] = (0.0, 1.0),
    plane: str = "axial",
    margin: int | None = None,
) -> Figure:
    """Samples of a data set, each above itself with its mask (the paper's Figure 2).

    Args:
        samples: at least one.
        classes: label value to name.
        columns: samples side by side.
        window: intensities that become black and white.
        plane: ``axial``, ``coronal`` or ``sagittal``; for volumes, whose slice with the largest label is drawn.
        margin: pixels to show around the label; None for all of the slice.

    Raises:
        InputError: no samples.
    """
    _check_samples(samples, {}, {})
    colors = class_colors(classes) if len(classes) > 1 else dict.fromkeys(classes, PREDICTION)
    columns = min(columns, len(samples))
    rows = -(-len(samples) // columns)
    with styled():
        views = [view_of(sample, plane, margin) for sample in samples]
        ratios = [ratio(view, sample.label) for view, sample in zip(views, samples, strict=True)]
        highest = [max(ratios[r * columns : (r + 1) * columns]) for r in range(rows) for _ in range(2)]
        figure, axes = panel_grid(2 * rows, columns, highest, titles=rows, below=0.5)
        for i, (sample, view) in enumerate(zip(samples, views, strict=True)):
            above, below = axes[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
            picture = view.image(sample.image)
            show(above, picture, view, window, marked=True)
            show(below, picture, view, window)
            above.set_title(sample.name, fontsize=7)
            for value in classes:
                mask = view.label(sample.label) == value
                cover = np.zeros((*mask.shape, 4))
                cover[mask] = to_rgba(colors[value], _FILL)
                below.imshow(cover, aspect=view.aspect, interpolation="nearest")
                outline(below, mask, colors[value])
        handles = [Line2D([], [], color=colors[value], lw=3, label=classes[value]) for value in sorted(classes)]
        legend_below(figure, handles, plane, any(view.number is not None for view in views))
    return figure
