"""The connected components of a mask: the largest, and all of them as rows of ``components.csv`` (the nodules of a
scan, the objects of a picture)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Row = dict[str, Any]

COMPONENT_COLUMNS = (
    "case", "component", "class", "voxels", "volume_mm3", "equivalent_diameter_mm",
    "center_x_mm", "center_y_mm", "center_z_mm",
)  # fmt: skip
IMAGE_COLUMNS = (
    "case", "component", "class", "pixels", "equivalent_diameter_pixels", "center_x_pixels", "center_y_pixels",
)  # fmt: skip


def columns_of(dims: int) -> tuple[str, ...]:
    """The columns of the rows that :func:`components` gives for masks of 2 or 3 dimensions."""
    return COMPONENT_COLUMNS if dims == 3 else IMAGE_COLUMNS


def components(
    mask: NDArray[np.integer], case: str, *, classes: Mapping[int, str], affine: NDArray[np.float64] | None = None
) -> list[Row]:
    """The connected components of each class of a mask, the largest first.

    What touches by a corner is connected (26 neighbors in a volume, 8 in an image).

    Args:
        mask: label values, (X, Y, Z) of a volume or (rows, columns) of an image.
        case: name for the rows.
        classes: label value to name.
        affine: of a volume: (4, 4) voxel index to world millimeters, RAS+. Centers are in this world, x to the right,
            y to the front, z up (DICOM's has the signs of x and y turned).

    Returns:
        rows with the columns :data:`COMPONENT_COLUMNS`; of an image those of :data:`IMAGE_COLUMNS`: x is the column
        and y the row, counted from 0 at the middle of the upper left pixel. The equivalent diameter is that of the
        ball, or the disk, of the same size.
    """
    rows: list[Row] = []
    for value, name in classes.items():
        where = mask == value
        if (box := _box(where)) is None:
            continue
        image = _pieces(where[box])
        del where
        counts, sums = _sizes(sitk.GetArrayViewFromImage(image), [part.start for part in box])
        order = sorted(range(1, len(counts)), key=lambda component: -counts[component])
        for rank, component in enumerate(order, 1):
            row: Row = {"case": case, "component": rank, "class": name}
            size, center = int(counts[component]), sums[component] / counts[component]
            rows.append(row | (_in_pixels(size, center) if affine is None else _in_world(size, center, affine)))
    return rows


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected component of a mask, of the same shape; of equal ones the first. Corners connect."""
    kept = np.zeros_like(mask)
    if (box := _box(mask)) is not None:
        image = _pieces(mask[box])
        pieces: NDArray[np.integer] = sitk.GetArrayViewFromImage(image)
        kept[box] = pieces == 1 + int(np.bincount(pieces[mask[box]])[1:].argmax())
    return kept


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that all of a mask lies in; None where nothing does."""
    box: tuple[slice, ...] = ()
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(along):
            return None
        box = (*box, slice(int(along[0]), int(along[-1]) + 1))
    return box


def _pieces(mask: NDArray[np.bool_]) -> sitk.Image:
    """The number of the connected component that each voxel is of; 0 for none."""
    return sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), True)


def _sizes(pieces: NDArray[np.integer], first: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each component its voxels, and the sums of their places, plane by plane so that no list of all is made.

    Args:
        pieces: see :func:`_pieces`.
        first: place of the first voxel.
    """
    number = int(pieces.max()) + 1
    counts, sums = np.zeros(number, np.int64), np.zeros((number, pieces.ndim))
    for place, plane in enumerate(pieces, first[0]):
        points = np.nonzero(plane)
        found = plane[points]
        here = np.bincount(found, minlength=number)
        counts += here
        sums[:, 0] += here * place
        for axis, along in enumerate(points, 1):
            sums[:, axis] += np.bincount(found, weights=along + first[axis], minlength=number)
    return counts, sums


def _in_world(voxels: int, center: NDArray[np.float64], affine: NDArray[np.float64]) -> Row:
    volume = voxels * float(abs(np.linalg.det(affine[:3, :3])))
    x, y, z = (affine @ np.append(center, 1.0))[:3].tolist()
    return {
        "voxels": voxels,
        "volume_mm3": round(volume, 3),
        "equivalent_diameter_mm": round(float((6 * volume / np.pi) ** (1 / 3)), 3),
        "center_x_mm": round(x, 3),
        "center_y_mm": round(y, 3),
        "center_z_mm": round(z, 3),
    }


def _in_pixels(pixels: int, center: NDArray[np.float64]) -> Row:
    row, column = center.tolist()
    return {
        "pixels": pixels,
        "equivalent_diameter_pixels": round(float(2 * np.sqrt(pixels / np.pi)), 3),
        "center_x_pixels": round(column, 3),
        "center_y_pixels": round(row, 3),
    }
