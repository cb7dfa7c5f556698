"""Slices to scroll through in the page: a few volumes with true and predicted outlines.

Each volume becomes two pictures of all its axial slices side by side, which the browser cuts up: the image as JPEG, and
label and prediction as the red and green of a PNG. A volume of 96 voxels a side takes about 0.3 MB.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.evaluation.previews import Preview
from segxfer3d.evaluation.slices import CONVENTION, largest_slice, marks, pixel_aspect, take_slice
from segxfer3d.report.figures.style import PREDICTION, TRUTH
from segxfer3d.report.results import Result
from segxfer3d.report.run_files import Problem, Run

PLANE = "axial"
LIMIT = 4_000_000  # bytes of all volumes in a page
_JPEG = 85  # quality


def volumes(results: Sequence[Result], problems: list[Problem]) -> tuple[list[dict[str, Any]], int]:
    """What the viewer shows, ready for JSON: best, median and worst case of one run of each arm.

    The run is that of the seed whose dice is in the middle. The fewest labels come first, its best arm first of all.
    What would make the page too large is left out.

    Returns:
        the volumes, and how many were left out.
    """
    shown: list[dict[str, Any]] = []
    size = left_out = 0
    for title, run in _chosen(results):
        try:
            previews = [preview for preview in run.previews() if preview.label.ndim == 3 and preview.label.shape[2] > 1]
        except InputError as error:
            problems.append(Problem(run.name, str(error).replace(f"{run.folder}/", "")))
            continue
        for preview in previews:
            volume = _volume(preview)
            size += len(volume["image"]) + len(volume["masks"])
            if size > LIMIT:
                left_out += 1
                continue
            words = f"{preview.words}, dice {preview.dice:.3f}"
            group = f"{run.arm}, seed {run.seed}, {title}"
            shown.append(volume | {"group": group, "name": f"{'/'.join(preview.roles)}: {words}"})
    return shown, left_out


def _chosen(results: Sequence[Result]) -> Iterator[tuple[str, Run]]:
    for result in results:
        for arm in sorted(result.arms, key=lambda arm: -arm.measures["dice"][0]):
            runs = [run for run in result.runs if run.arm == arm.arm.name]
            runs.sort(key=lambda run: float(np.mean([score.value for score in run.scores["dice"]])))
            yield result.title, runs[len(runs) // 2]


def _volume(preview: Preview) -> dict[str, Any]:
    count = preview.label.shape[2]
    masks = np.stack([preview.label, preview.prediction, np.zeros_like(preview.label)])
    x, y, z = preview.spacing
    left, right = marks(PLANE)
    height, width = take_slice(preview.label, 0, PLANE).shape
    return {
        "image": _encoded(_sprite(preview.image[0]), "JPEG", quality=_JPEG),
        "masks": _encoded(np.stack([_sprite(mask) for mask in masks], axis=-1), "PNG", compress_level=6),
        "slices": count,
        "columns": _columns(count),
        "width": width,
        "height": height,
        "aspect": pixel_aspect((x, y, z), PLANE),
        "start": largest_slice(preview.label if preview.label.any() else preview.prediction, PLANE),
        "marks": [left, right],
        "note": CONVENTION[PLANE],
        "thickness": z,
        "colors": [TRUTH, PREDICTION],
    }


def _columns(slices: int) -> int:
    return math.ceil(math.sqrt(slices))


def _sprite(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All slices in rows of the same length, the lowest first."""
    count = volume.shape[2]
    columns = _columns(count)
    pictures = [take_slice(volume, number, PLANE) for number in range(count)]
    pictures += [np.zeros_like(pictures[0])] * (-count % columns)
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows, axis=0)


def _encoded(array: NDArray[np.uint8], form: str, **options: Any) -> str:
    content = io.BytesIO()
    Image.fromarray(array).save(content, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
