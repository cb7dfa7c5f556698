"""Which slice of a volume is drawn, and which way up: the convention of radiologists.

Volumes are (X, Y, Z) in RAS: indices grow to the patient's right, front and top (what
preprocessing gives; :func:`to_ras` turns any other). They are drawn as on a
light box: axial slices seen from the feet and coronal ones from the front, so that **image left is patient right**; the
front, or the top, is up. Sagittal slices are seen from the patient's left, the front at image left.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError

# plane -> axis that is cut, axis along the rows of the picture (downward), axis along its columns, marks left and right
_PLANES: dict[str, tuple[int, int, int, tuple[str, str]]] = {
    "axial": (2, 1, 0, ("R", "L")),
    "coronal": (1, 2, 0, ("R", "L")),
    "sagittal": (0, 2, 1, ("A", "P")),
}
PLANES = tuple(_PLANES)
CONVENTION = {
    "axial": "Axial slices seen from the feet: image left is patient right (R), front is up.",
    "coronal": "Coronal slices seen from the front: image left is patient right (R), top is up.",
    "sagittal": "Sagittal slices seen from the left: front (A) is image left, top is up.",
}


def _plane(plane: str) -> tuple[int, int, int, tuple[str, str]]:
    if plane not in _PLANES:
        raise InputError(f"plane: expected one of {', '.join(PLANES)}, got {plane!r}")
    return _PLANES[plane]


def largest_slice(label: NDArray[Any], plane: str = "axial") -> int:
    """Number of the slice of a label map (X, Y, Z) with most foreground voxels; the middle one where there is none.

    Of several with as many, the one in the middle of them.

    Raises:
        InputError: an unknown plane.
    """
    axis = _plane(plane)[0]
    counts = np.count_nonzero(label, axis=tuple(i for i in range(3) if i != axis))
    if not counts.any():
        return int(label.shape[axis] // 2)
    best = np.flatnonzero(counts == counts.max())
    return int(best[len(best) // 2])


def take_slice(volume: NDArray[Any], number: int, plane: str = "axial") -> NDArray[Any]:
    """A slice of a volume (X, Y, Z) in RAS as a picture (rows, columns), the upper left pixel first.

    Raises:
        InputError: an unknown plane, or a slice that the volume does not have.
    """
    axis, down, along, _ = _plane(plane)
    if not 0 <= number < volume.shape[axis]:
        raise InputError(f"slice {number}: expected 0 to {volume.shape[axis] - 1} for a {plane} slice")
    # what grows to the patient's right, front and top runs to the image's left and up
    return volume.transpose(axis, down, along)[number, ::-1, ::-1]


def marks(plane: str) -> tuple[str, str]:
    """The letters at the left and the right edge of a picture: R, L, A, P."""
    return _plane(plane)[3]


def pixel_aspect(spacing: tuple[float, float, float], plane: str = "axial") -> float:
    """Height of a pixel over its width, from the volume's spacing in millimeters."""
    _, down, along, _ = _plane(plane)
    return spacing[down] / spacing[along]


def to_ras(array: NDArray[Any], affine: NDArray[Any]) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """Flip and permute the axes of a volume (X, Y, Z) to the closest to RAS.

    Args:
        array: on the grid of a file.
        affine: (4, 4), from voxel index to world millimeters, RAS+.

    Returns:
        the volume, and the spacing along its new axes in millimeters.
    """
    from nibabel.orientations import apply_orientation, io_orientation  # a while to import, and only volumes turn

    orientation = io_orientation(affine)
    spacing = np.empty(3)
    spacing[orientation[:, 0].astype(int)] = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    x, y, z = spacing.tolist()
    return apply_orientation(array, orientation), (x, y, z)
