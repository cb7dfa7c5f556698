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
Seen = tuple[Spacing, tuple[Values, ...]]  # of one volume, the values of each channel


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


def look_at(channels: Sequence[NDArray[Any]], affine: NDArray[Any]) -> Seen:
    """The spacing of a volume, and the values of each channel; arguments as of :func:`values_of` and
    :func:`spacing_of`."""
    return spacing_of(affine), tuple(map(values_of, channels))


def seen(spacings: Sequence[Spacing], values: Sequence[Sequence[Values]]) -> dict[str, Any]:
    """What was seen of the training cases, as plain values; empty where nothing is known.

    Args:
        spacings: of the cases.
        values: of each channel of the cases, which have as many.

    Returns:
        ``spacing``: the least, the median and the largest along each axis; ``values``: the lowest and the highest of
        the first channel; ``further_values``: those of the others, where there are any.
    """
    if not spacings or not values:
        return {}
    table = np.array(spacings)
    spans = [[min(low for low, _ in each), max(high for _, high in each)] for each in zip(*values, strict=True)]
    return _as_noted([how(table, axis=0) for how in (np.min, np.median, np.max)], spans)


def noted(looks: Sequence[Seen]) -> dict[str, Any]:
    """What a model notes of its training cases: :func:`seen` as the entry ``seen``; nothing where nothing is known."""
    known = seen([spacing for spacing, _ in looks], [values for _, values in looks])
    return {"seen": known} if known else {}


def together(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several models have seen, see :func:`seen`; empty where one does not say."""
    if not parts or not all(parts):
        return {}
    table = np.array([part["spacing"] for part in parts])  # (models, 3, 3)
    spans = [
        [min(low for low, _ in each), max(high for _, high in each)]
        for each in zip(*map(values_seen, parts), strict=False)  # an earlier version noted the first channel alone
    ]
    return _as_noted([table[:, 0].min(0), np.median(table[:, 1], 0), table[:, 2].max(0)], spans)


def values_seen(seen: Mapping[str, Any]) -> list[Values]:
    """The lowest and the highest value of each channel, of the first alone where a model says no more.

    Example:
        >>> values_seen({"values": [-1000.0, 900.0], "further_values": [[0.0, 12.5]]})
        [(-1000.0, 900.0), (0.0, 12.5)]
    """
    return [(low, high) for low, high in (seen["values"], *seen.get("further_values", ()))]


def _as_noted(spacing: Sequence[Any], spans: list[list[float]]) -> dict[str, Any]:
    first, *further = spans
    known = {"spacing": [[round(float(v), 4) for v in row] for row in spacing], "values": first}
    return known | {"further_values": further} if further else known


def is_far_spacing(spacing: Spacing, seen: Mapping[str, Any]) -> bool:
    """Whether a volume is spaced otherwise, by :data:`FAR` along an axis, than any that trained.

    Example:
        >>> trained = {"spacing": [[0.9, 0.9, 1.0], [1.0, 1.0, 1.0], [1.1, 1.1, 1.0]]}
        >>> is_far_spacing((1.5, 1.5, 1.5), trained), is_far_spacing((1.0, 1.0, 3.0), trained)
        (False, True)
    """
    least, _, most = seen["spacing"]
    return any(s < low / FAR or s > high * FAR for s, low, high in zip(spacing, least, most, strict=True))


def is_far_range(values: Values, trained: Values, lowest: float) -> bool:
    """Whether most of a volume's range of values lies outside that of training.

    Args:
        values: of a channel of the volume, see :func:`values_of`.
        trained: of that channel in training, see :func:`values_seen`.
        lowest: what values are clipped to, such as the padding around a CT.

    Example:
        >>> is_far_range((0.0, 3000.0), (-1000.0, 900.0), -1000.0)
        True
    """
    low, high = (max(value, lowest) for value in values)
    trained_low, trained_high = (max(value, lowest) for value in trained)
    inside = min(high, trained_high) - max(low, trained_low)
    return inside < _INSIDE * (high - low) if high > low else not trained_low <= low <= trained_high
