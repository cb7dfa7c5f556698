"""The similarity of representations (the paper's Figure 7), from the ``cka.json`` that ``segxfer3d compare`` leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from segxfer3d import documents
from segxfer3d.errors import InputError
from segxfer3d.report.figures.style import HEAT, new_figure, save, styled

FILE = "cka.json"


def save_cka(folder: Path | str) -> list[Path]:
    """Draw the ``cka.json`` in a folder beside it, as ``cka.png`` and ``cka.svg``; under the title, on what it is.

    Raises:
        InputError: the file cannot be read, or a picture cannot be written.
    """
    path = Path(folder) / FILE
    try:
        figure = draw_cka(documents.own(path), on_what=True)
    except InputError as error:
        raise InputError(f"{path} cannot be drawn ({error})") from error
    return [save(figure, path.with_suffix(suffix)) for suffix in (".png", ".svg")]


def draw_cka(content: Mapping[str, Any], *, on_what: bool = False) -> Figure:
    """The heat map of a ``cka.json``.

    Args:
        content: of the file.
        on_what: say under the title on how many patches or images.

    Raises:
        InputError: it holds no matrix.
    """
    try:
        matrix = np.array([[np.nan if v is None else float(v) for v in row] for row in content["cka"]], float)
        names = [str(name) for name in content["names"]]
        line = f"\n{_samples(content)}" if on_what else ""
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"expected names and a matrix ({type(error).__name__}: {error})") from error
    return cka_heat_map(names, matrix, f"linear CKA of {content.get('layer', 'a layer')}, unbiased{line}")


def _samples(content: Mapping[str, Any]) -> str:
    """On what it was measured: images are whole, volumes are seen patch by patch."""
    count = content["patches"]
    return (
        f"{count} images" if len(content["patch_size"]) == 2 else f"{count} patches of {len(content['cases'])} volumes"
    )


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
