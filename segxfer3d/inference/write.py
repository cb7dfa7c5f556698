"""What becomes of predictions: masks in the input's own geometry, and a list of the nodules in them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from torch import Tensor

from segxfer3d.evaluation.metrics import class_index

COMPONENT_COLUMNS = (
    "case", "component", "class", "voxels", "volume_mm3", "equivalent_diameter_mm",
    "center_x_mm", "center_y_mm", "center_z_mm",
)  # fmt: skip


def to_label_map(probabilities: Tensor, class_values: Sequence[int]) -> NDArray[np.uint8]:
    """(K, X, Y, Z) to (X, Y, Z): the class of the highest probability where that reaches 0.5, else 0."""
    values = np.array([0, *class_values], dtype=np.uint8)
    label_map: NDArray[np.uint8] = values[class_index(probabilities).cpu().numpy()]
    return label_map


def write_volume(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write (X, Y, Z) as NIfTI with ``affine`` (RAS+, millimeters); whole or not at all."""
    temporary = path.with_name(f".part-{path.name}")
    nifti = nibabel.Nifti1Image(array, affine)
    nifti.header.set_xyzt_units("mm")
    try:
        nibabel.save(nifti, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def components(
    mask: NDArray[np.uint8], affine: NDArray[np.float64], case: str, classes: Mapping[int, str]
) -> list[dict[str, Any]]:
    """The connected components (26-connected) of each class of a mask, the largest first.

    Centers are in the world of NIfTI: millimeters, x to the right, y to the front, z up (RAS+). DICOM's world has
    the signs of x and y turned.

    Args:
        mask: (X, Y, Z) label values.
        affine: voxel index to world.
        case: name for the rows.
        classes: label value to name.
    """
    voxel_mm3 = float(abs(np.linalg.det(affine[:3, :3])))
    rows: list[dict[str, Any]] = []
    for value, name in classes.items():
        image = sitk.GetImageFromArray((mask == value).astype(np.uint8))
        labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True))
        points = np.argwhere(labels)
        number = labels[tuple(points.T)]
        counts = np.bincount(number)
        sums = np.stack([np.bincount(number, weights=points[:, axis]) for axis in range(3)], axis=1)
        found = []
        for component in range(1, len(counts)):
            center = affine @ np.append(sums[component] / counts[component], 1.0)
            volume = counts[component] * voxel_mm3
            found.append(
                {
                    "case": case,
                    "class": name,
                    "voxels": int(counts[component]),
                    "volume_mm3": round(volume, 3),
                    "equivalent_diameter_mm": round((6 * volume / np.pi) ** (1 / 3), 3),
                    "center_x_mm": round(float(center[0]), 3),
                    "center_y_mm": round(float(center[1]), 3),
                    "center_z_mm": round(float(center[2]), 3),
                }
            )
        found.sort(key=lambda row: -row["voxels"])
        rows += [{**row, "component": i + 1} for i, row in enumerate(found)]
    return rows


def write_components(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of :func:`components` as CSV; a header alone where there are none."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COMPONENT_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)
