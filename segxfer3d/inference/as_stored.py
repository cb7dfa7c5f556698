"""Back from an image as viewers show it to its pixels as they are stored."""

from __future__ import annotations

from torch import Tensor

from segxfer3d.data.io.exif_turns import SHOWN


def as_stored(shown: Tensor, turn: int) -> Tensor:
    """Undo an EXIF orientation.

    Args:
        shown: (..., rows, columns), turned as the orientation says.
        turn: the orientation, 1 to 8; 1 is none.

    Returns:
        the same values on the grid of the file.
    """
    swapped, flipped = SHOWN[turn]
    stored = shown.flip(flipped) if flipped else shown
    return stored.transpose(-2, -1).contiguous() if swapped else stored
