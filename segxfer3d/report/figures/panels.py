"""The panels that galleries are made of: one picture of a case, its outlines, words and legend.

Images are (C, *spatial) as everywhere in this package: (1, X, Y, Z) volumes in RAS, or (1 or 3, rows, columns)
pictures. Label maps are whole numbers (*spatial), 0 for background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from segxfer3d.errors import InputError
from segxfer3d.evaluation.slices import CONVENTION, largest_slice, marks, pixel_aspect, take_slice
from segxfer3d.report.figures.style import OVERLAYS, new_figure

PANEL = 1.55  # inches, the longer side of a panel
_TITLE, _GAP = 0.22, 0.05  # inches
_FINE = 5  # points of an outline along the side of a pixel


@dataclass(frozen=True)
class Sample:
    """A case to draw.

    Attributes:
        name: printed beside it.
        image: (C, *spatial), 1 or 3 channels.
        label: (*spatial), whole numbers.
        spacing: of a volume, millimeters along x, y, z.
    """

    name: str
    image: NDArray[Any]
    label: NDArray[Any]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        check_image(self.name, self.image)
        if self.label.shape != self.image.shape[1:]:
            raise InputError(
                f"{self.name}: a label of shape {self.label.shape}, expected its image's, {self.image.shape[1:]}"
            )


@dataclass(frozen=True)
class View:
    """Which part of a case is drawn: its slice (None in 2D), and rows and columns of that."""

    plane: str
    number: int | None
    spacing: tuple[float, float, float]
    crop: tuple[slice, slice] = (slice(None), slice(None))

    def label(self, label: NDArray[Any]) -> NDArray[Any]:
        """The picture (rows, columns) of a label map."""
        return (label if self.number is None else take_slice(label, self.number, self.plane))[self.crop]

    def image(self, image: NDArray[Any]) -> NDArray[Any]:
        """The picture (rows, columns) of an image of one channel, or (rows, columns, 3)."""
        channels = [self.label(channel) for channel in image]
        return channels[0] if len(channels) == 1 else np.stack(channels, axis=-1)

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        return 1.0 if self.number is None else pixel_aspect(self.spacing, self.plane)

    def cropped(self, label: NDArray[Any], margin: int) -> View:
        """The part within ``margin`` pixels of the foreground; all of it where there is none."""
        rows, columns = np.nonzero(self.label(label))
        if not len(rows):
            return self
        crop = tuple(slice(max(0, int(i.min()) - margin), int(i.max()) + margin + 1) for i in (rows, columns))
        return View(self.plane, self.number, self.spacing, (crop[0], crop[1]))


def view_of(sample: Sample, plane: str, margin: int | None) -> View:
    """Of a volume the slice with the largest label, and around the label only where a margin is given."""
    view = View(plane, largest_slice(sample.label, plane) if sample.label.ndim == 3 else None, sample.spacing)
    return view if margin is None else view.cropped(sample.label, margin)


def check_image(name: str, image: NDArray[Any]) -> None:
    """Refuse images of other forms."""
    if image.ndim not in (3, 4) or image.shape[0] not in (1, 3):
        raise InputError(f"{name}: an image of shape {image.shape}, expected (1 or 3, *spatial) in 2D or 3D")


def panel_grid(rows: int, columns: int, ratios: Sequence[float], titles: int, below: float) -> tuple[Figure, Any]:
    """A figure of panels without ticks, and its axes (rows, columns).

    Args:
        rows: of panels.
        columns: of panels.
        ratios: height over width of the panels in each row.
        titles: rows that have titles.
        below: inches for what stands below the panels.
    """
    heights = [PANEL * min(value, 1.0) for value in ratios]
    width = columns * PANEL * max(min(1 / value, 1.0) for value in ratios)
    if titles > 1:
        figure = new_figure(width + 0.4, sum(heights) + 0.05 * rows + _TITLE * titles + below, gap=0.02)
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    else:  # places are known: the layout engine takes as long as drawing does
        figure = Figure(figsize=(width + _GAP * (columns - 1), sum(heights) + _GAP * (rows - 1)))
        figure.subplots_adjust(0, 0, 1, 1, wspace=_GAP * columns / width, hspace=_GAP * rows / sum(heights))
        axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        axis.spines[:].set_visible(False)
    for axis in axes[:, 1:].flat:
        axis.set_axis_off()  # only the first has words beside it; axes without ticks take time, too
    return figure, axes


def ratio(view: View, label: NDArray[Any]) -> float:
    """Height of the picture over its width, as it is drawn."""
    height, width = view.label(label).shape
    return float(height * view.aspect / width)


def show(axis: Axes, picture: NDArray[Any], view: View, window: tuple[float, float], marked: bool = False) -> None:
    """Draw a picture; ``window`` becomes black and white, ``marked`` adds the letters of the patient's sides."""
    low, high = window
    scaled = ((picture.astype(np.float64) - low) / (high - low)).clip(0, 1)
    axis.imshow(scaled, cmap="gray", vmin=0, vmax=1, aspect=view.aspect, interpolation="nearest")
    if marked and view.number is not None:
        for x, side, letter in zip((0.03, 0.97), ("left", "right"), marks(view.plane), strict=True):
            write(axis, x, 0.5, letter, ha=side, va="center")


def write(axis: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Small white words on a dark ground, legible on any image; places are fractions of the panel."""
    box = {"facecolor": "black", "alpha": 0.6, "pad": 1.0, "linewidth": 0}
    axis.text(x, y, text, transform=axis.transAxes, color="white", fontsize=7, bbox=box, **options)


def outline(axis: Axes, mask: NDArray[np.bool_], color: str, dash: str = "-") -> None:
    """The border of a mask along the sides of its pixels; masks that touch the picture's border are closed there."""
    if not mask.any():
        return
    rows, columns = (np.flatnonzero(mask.any(axis=i)) for i in (1, 0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fine = np.pad(np.kron(part, np.ones((_FINE, _FINE))), 1)
    starts = (rows[0], columns[0])
    y, x = (first - 0.5 + (np.arange(n) - 0.5) / _FINE for first, n in zip(starts, fine.shape, strict=True))
    axis.contour(x, y, fine, levels=[0.5], colors=[color], linewidths=1.2, linestyles=[dash])
    height, width = mask.shape
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def class_colors(classes: Mapping[int, str]) -> dict[int, str]:
    """A color for each label value."""
    return {value: OVERLAYS[i % len(OVERLAYS)] for i, value in enumerate(sorted(classes))}


def legend_below(figure: Figure, handles: Sequence[Line2D], plane: str, volumes: bool) -> None:
    """Legend and orientation below the panels."""
    note = CONVENTION[plane] if volumes else ""
    if handles:
        place: dict[str, Any] = {"loc": "outside lower center"}
        if figure.get_layout_engine() is None:
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
        figure.legend(handles=handles, ncols=len(handles), title=note or None, **place)
    elif note:
        figure.supxlabel(note, fontsize=8, y=0.01 if figure.get_layout_engine() else -0.05)
