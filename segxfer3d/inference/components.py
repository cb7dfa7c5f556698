"""The connected components of a mask: the largest, and all of them as rows of ``components.csv`` (the nodules of a
scan, the objects of a picture)."""

from __future__ import annotations

from collections.abc import Mapping
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
        pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(_bytes(mask == value)), True))
        points = np.argwhere(pieces)
        number = pieces[tuple(points.T)]
        counts = np.bincount(number)
        sums = np.stack([np.bincount(number, weights=points[:, axis]) for axis in range(mask.ndim)], axis=1)
        order = sorted(range(1, len(counts)), key=lambda component: -counts[component])
        for rank, component in enumerate(order, 1):
            row: Row = {"case": case, "component": rank, "class": name}
            size, center = int(counts[component]), sums[component] / counts[component]
            rows.append(row | (_in_pixels(size, center) if affine is None else _in_world(size, center, affine)))
    return rows


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected component of a mask, of the same shape; of equal ones the first. Corners connect."""
    where = np.nonzero(mask)
    if not len(where[0]):
        return mask.copy()
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in where)
    pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(_bytes(mask[box])), True))
    kept = np.zeros_like(mask)
    kept[box] = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    return kept


def _bytes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8)


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
