"""Label values that are stored as fractions: what lies beside a whole number by rounding is that number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError

TOLERANCE = 1e-3  # what resampling programs and scaled files leave is far less; a half is no label


def whole_numbers(path: Path, values: NDArray[Any], what: str) -> NDArray[Any]:
    """Values as whole numbers.

    Args:
        path: for messages.
        values: of any type; of whole numbers they come back as they are.
        what: they are, for messages.

    Raises:
        InputError: some lie more than :data:`TOLERANCE` beside a whole number, or are not finite; written in full.
    """
    if values.dtype.kind != "f":
        return values
    rounded, close = _rounded(values)
    if not close.all():
        strange = np.unique(values[~close])
        shown = ", ".join(f"{value:.9g}" for value in strange[:5].tolist()) + (", ..." if len(strange) > 5 else "")
        raise InputError(f"{path}: {what} {shown}; expected whole numbers")
    whole: NDArray[np.int64] = rounded.astype(np.int64)
    return whole


def rounded_if_close(values: NDArray[Any]) -> NDArray[Any] | None:
    """Fractions rounded, in their own type, if all lie within :data:`TOLERANCE` of a whole number; None where nothing
    changes: they do not, or are whole numbers."""
    if values.dtype.kind != "f":
        return None
    rounded, close = _rounded(values)
    return rounded if close.all() and not np.array_equal(values, rounded) else None


def _rounded(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Rounded values, and where they lie close; not where they are not finite."""
    with np.errstate(invalid="ignore"):
        rounded = np.rint(values)
        close: NDArray[np.bool_] = np.abs(values - rounded) <= TOLERANCE
    return rounded, close
