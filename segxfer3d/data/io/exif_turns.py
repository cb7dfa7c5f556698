"""Images as they are stored, and as viewers show them by their EXIF orientation."""

from __future__ import annotations

import numpy as np

from segxfer3d.data.io.images import UInt8

_BACK = {6: 8, 8: 6}  # the orientations that are not undone by themselves


def as_shown(stored: UInt8, turn: int) -> UInt8:
    """Turn an image as its EXIF says.

    Args:
        stored: (..., rows, columns), as the file holds it.
        turn: the orientation, 1 to 8 (CIPA DC-008, tag Orientation); 1 is none.
    """
    match turn:
        case 2:
            return stored[..., ::-1]
        case 3:
            return stored[..., ::-1, ::-1]
        case 4:
            return stored[..., ::-1, :]
        case 5:
            return stored.swapaxes(-2, -1)
        case 6:
            return np.rot90(stored, -1, (-2, -1))
        case 7:
            return stored.swapaxes(-2, -1)[..., ::-1, ::-1]
        case 8:
            return np.rot90(stored, 1, (-2, -1))
    return stored


def as_stored(shown: UInt8, turn: int) -> UInt8:
    """Undo :func:`as_shown`."""
    return as_shown(shown, _BACK.get(turn, turn))
