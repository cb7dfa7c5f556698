"""The spacings and values of volumes that a model was trained on, and which other volumes are far from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

FAR = 1.5  # times a spacing beyond all of training's: objects look that much larger or smaller than any that trained
_INSIDE = 0.5  # of a volume's range of values that has to lie within training's
_PERCENTILES = (0.5, 99.5)
_STEP = 17  # every so many voxels are looked at

Spacing = tuple[float, float, float]
Values = tuple[float, float]
Seen = tuple[Spacing, Values]  # of one volume


def spacing_of(affine: NDArray[Any]) -> Spacing:
    """Millimeters from voxel to voxel along right-left, front-back and up-down, however the file lies.

    Args:
        affine: (4, 4) voxel index to world millimeters.
    """
    axes = nibabel.io_orientation(affine)[:, 0]
    lengths = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    found = [0.0, 0.0, 0.0]
    for voxel_axis, world_axis in enumerate(axes):
        found[int(world_axis)] = round(float(lengths[voxel_axis]), 4)
    return found[0], found[1], found[2]


def values_of(array: NDArray[Any]) -> Values:
    """The 0.5th and the 99.5th percentile of an image's values.

    Args:
        array: of any shape.
    """
    low, high = np.percentile(array.ravel(order="K")[::_STEP], _PERCENTILES)
    return float(low), float(high)


def look_at(array: NDArray[Any], affine: NDArray[Any]) -> Seen:
    """The spacing and the values of a volume; arguments as of :func:`values_of` and :func:`spacing_of`."""
    return spacing_of(affine), values_of(array)


def seen(spacings: Sequence[Spacing], values: Sequence[Values]) -> dict[str, Any]:
    """What was seen of the training cases, as plain values; empty where nothing is known.

    Returns:
        ``spacing``: the least, the median and the largest along each axis; ``values``: the lowest and the highest.
    """
    if not spacings or not values:
        return {}
    table = np.array(spacings)
    return {
        "spacing": [[round(float(v), 4) for v in how(table, axis=0)] for how in (np.min, np.median, np.max)],
        "values": [min(low for low, _ in values), max(high for _, high in values)],
    }


def noted(looks: Sequence[Seen]) -> dict[str, Any]:
    """What a model notes of its training cases: :func:`seen` as the entry ``seen``; nothing where nothing is known."""
    known = seen([spacing for spacing, _ in looks], [values for _, values in looks])
    return {"seen": known} if known else {}


def together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several models have seen, see :func:`seen`; empty where one does not say."""
    if not parts or not all(parts):
        return {}
    table = np.array([part["spacing"] for part in parts])  # (models, 3, 3)
    least, median, most = table[:, 0].min(0), np.median(table[:, 1], 0), table[:, 2].max(0)
    return {
        "spacing": [np.round(row, 4).tolist() for row in (least, median, most)],
        "values": [min(part["values"][0] for part in parts), max(part["values"][1] for part in parts)],
    }


def is_far_spacing(spacing: Spacing, seen: Mapping[str, Any]) -> bool:
    """Whether a volume is spaced otherwise, by :data:`FAR` along an axis, than any that trained.

    Example:
        >>> trained = {"spacing": [[0.9, 0.9, 1.0], [1.0, 1.0, 1.0], [1.1, 1.1, 1.0]]}
        >>> is_far_spacing((1.5, 1.5, 1.5), trained), is_far_spacing((1.0, 1.0, 3.0), trained)
        (False, True)
    """
    least, _, most = seen["spacing"]
    return any(s < low / FAR or s > high * FAR for s, low, high in zip(spacing, least, most, strict=True))


def is_far_range(values: Values, seen: Mapping[str, Any], lowest: float) -> bool:
    """Whether most of a volume's range of values lies outside that of training.

    Args:
        values: of the volume, see :func:`values_of`.
        seen: of training.
        lowest: what values are clipped to, such as the padding around a CT.

    Example:
        >>> is_far_range((0.0, 3000.0), {"values": [-1000.0, 900.0]}, -1000.0)
        True
    """
    low, high = (max(value, lowest) for value in values)
    trained_low, trained_high = (max(value, lowest) for value in seen["values"])
    inside = min(high, trained_high) - max(low, trained_low)
    return inside < _INSIDE * (high - low) if high > low else not trained_low <= low <= trained_high
