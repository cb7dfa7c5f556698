"""The look of every figure, in one place: colors, fonts, line styles, and files that repeat byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError, installed_with
from segxfer3d.files import replacing

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise InputError(f"figures need matplotlib: {installed_with('report')}") from error

# Okabe and Ito's palette (2008), told apart with any color vision, less what vanishes on white or on dark images
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
OVERLAYS = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00")  # over images, which are rather dark
TRUTH, PREDICTION = OVERLAYS[:2]
# an initialization has one color and line in all figures; the control is gray, frozen ones are dashed
INIT_LINES: dict[str, tuple[str, str]] = {
    "random": ("#767676", "-"),
    "encoder": ("#0072B2", "-"),
    "encoder+decoder": ("#D55E00", "-"),
    "whole": ("#009E73", "-"),
    "frozen-encoder": ("#56B4E9", "--"),
    "frozen-random": ("#CC79A7", "--"),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # arms differ by form, too
HEAT = "cividis"  # even in lightness, and the same for all color vision

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that the same bytes come out everywhere
    "font.size": 9,
    "text.parse_math": False,  # a dollar sign in the name of a case is a dollar sign
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
    "svg.hashsalt": "segxfer3d",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
_PAD = 0.1  # inches around what is saved
# what would differ from day to day or machine to machine
_METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of this package, whatever the user's settings of matplotlib; they are back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def new_figure(width: float, height: float, gap: float = 0.04) -> Figure:
    """An empty figure of this size in inches; without pyplot, so nothing has to be closed and no window can open.

    Args:
        width: inches.
        height: inches.
        gap: inches around each panel.
    """
    layout = ConstrainedLayoutEngine(w_pad=gap, h_pad=gap, wspace=0.01, hspace=0.01)
    return Figure(figsize=(width, height), layout=layout)


def new_plot(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    heights: Sequence[float] | None = None,
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, Any]:
    """A figure of plots and its axes (rows, columns), set out by hand: the engine of :func:`new_figure` takes as long
    as drawing does. What stands outside the figure is kept when it is saved.

    Args:
        width, height: inches.
        rows, columns: of plots.
        heights: of the rows, relative.
        share_x, share_y: whether plots have one scale.
    """
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=0.6 / width, right=1 - 0.1 / width, bottom=0.45 / height, top=1 - 0.3 / height,
        wspace=0.35 / (width / columns), hspace=0.55 / (height / rows),
    )  # fmt: skip
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y, height_ratios=heights)
    return figure, axes


def lines(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Color and line style of each name: fixed for initializations, the next free of the palette for any other."""
    looks: dict[str, tuple[str, str]] = {}
    styles = [(color, dash) for dash in ("-", "--", ":") for color in PALETTE]
    names = list(names)
    taken = {INIT_LINES[name] for name in names if name in INIT_LINES}
    free = [style for style in styles if style not in taken]
    for name in names:
        looks[name] = INIT_LINES[name] if name in INIT_LINES else free[len(looks.keys() - INIT_LINES) % len(free)]
    return looks


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, PDF or SVG, chosen by the ending; the same figure gives the same bytes.

    Raises:
        InputError: another ending, or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise InputError(f"{path}: expected a name that ends in {', '.join(_METADATA)}")
    with styled(), replacing(path) as file:
        figure.savefig(file, format=suffix[1:], metadata=_METADATA[suffix], bbox_inches=extent(figure))
    return path


def extent(figure: Figure) -> Any:
    """What of a figure is saved: all that is in it. Where no engine lays it out it can be told without drawing it."""
    if figure.get_layout_engine() is not None:
        return "tight"
    return figure.get_tightbbox().padded(_PAD)
