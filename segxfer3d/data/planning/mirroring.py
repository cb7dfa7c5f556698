"""Along which axes training may turn patches around: not where that would swap what classes are told apart by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

TOLD_APART = (
    2.0  # standard deviations that the centers of two classes lie apart, along an axis, in the mean of the cases
)
FEWEST_CASES = 3  # with fewer there is no spread to measure: then a millimeter tells two classes apart
_MILLIMETER = 1.0


def class_centers(labels: NDArray[np.generic], values: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float64]:
    """The center of gravity of each class in a label map.

    Args:
        labels: (X, Y, Z) label values.
        values: of the classes.
        spacing: millimeters of a voxel along each axis.

    Returns:
        (classes, 3) millimeters from the first voxel; NaN for a class that is not there.
    """
    centers = np.full((len(values), 3), np.nan)
    for row, value in enumerate(values):
        inside = np.nonzero(labels == value)
        if inside[0].size:
            centers[row] = [axis.mean() * step for axis, step in zip(inside, spacing, strict=True)]
    return centers


def mirror_axes(centers: Sequence[NDArray[np.float64]]) -> tuple[int, ...]:
    """The axes along which no two classes keep their order from case to case.

    Two classes keep it along an axis where the mean distance of their centers over the cases is more than
    :data:`TOLD_APART` standard deviations. The parts of the hippocampus do along y and z, and in some draws of few
    patients along x. A single class may be mirrored along every axis, as nnU-Net mirrors all.

    Args:
        centers: of each case, see :func:`class_centers`, axes in the order that the network sees.

    Example:
        >>> front, back = [10.0, 30.0, 5.0], [10.0, 10.0, 5.0]
        >>> mirror_axes([np.array([front, back]), np.array([back, front])]), mirror_axes([np.array([front, back])])
        ((0, 1, 2), (0, 2))
    """
    allowed = []
    stacked = np.stack(centers)
    for axis in range(3):
        pairs = combinations(range(stacked.shape[1]), 2)
        if not any(_keep_order(stacked[:, first, axis] - stacked[:, second, axis]) for first, second in pairs):
            allowed.append(axis)
    return tuple(allowed)


def _keep_order(distances: NDArray[np.float64]) -> bool:
    """Whether distances, one a case, are about the same; cases that lack one of the classes are NaN and left out."""
    distances = distances[np.isfinite(distances)]
    if not distances.size:
        return False
    spread = float(distances.std(ddof=1)) if distances.size >= FEWEST_CASES else 0.0
    return abs(float(distances.mean())) > max(_MILLIMETER, TOLD_APART * spread)
