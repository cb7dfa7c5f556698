"""Images as they are stored, and as viewers show them by their EXIF orientation."""

from __future__ import annotations

import numpy as np

from segxfer3d.data.io.images import UInt8

# EXIF orientation (CIPA DC-008, tag Orientation) -> how viewers turn what is stored: whether rows and columns are
# swapped, and the axes that are flipped then
SHOWN: dict[int, tuple[bool, tuple[int, ...]]] = {
    1: (False, ()),
    2: (False, (-1,)),
    3: (False, (-2, -1)),
    4: (False, (-2,)),
    5: (True, ()),
    6: (True, (-1,)),
    7: (True, (-2, -1)),
    8: (True, (-2,)),
}


def as_shown(stored: UInt8, turn: int) -> UInt8:
    """Turn an image as its EXIF says.

    Args:
        stored: (..., rows, columns), as the file holds it.
        turn: the orientation, 1 to 8; 1 is none.
    """
    swapped, flipped = SHOWN[turn]
    return np.flip(stored.swapaxes(-2, -1) if swapped else stored, flipped)


def as_stored(shown: UInt8, turn: int) -> UInt8:
    """Undo :func:`as_shown`."""
    swapped, flipped = SHOWN[turn]
    stored = np.flip(shown, flipped)
    return stored.swapaxes(-2, -1) if swapped else stored
