"""Back from an image as viewers show it to its pixels as they are stored."""

from __future__ import annotations

import torch
from torch import Tensor


def as_stored(shown: Tensor, turn: int) -> Tensor:
    """Undo an EXIF orientation.

    Args:
        shown: (..., rows, columns), turned as the orientation says.
        turn: the orientation, 1 to 8 (CIPA DC-008, tag Orientation); 1 is none.

    Returns:
        the same values on the grid of the file.
    """
    match turn:
        case 2:
            return shown.flip(-1)
        case 3:
            return shown.flip(-2, -1)
        case 4:
            return shown.flip(-2)
        case 5:
            return shown.transpose(-2, -1).contiguous()
        case 6:
            return torch.rot90(shown, 1, (-2, -1))
        case 7:
            return shown.transpose(-2, -1).flip(-2, -1)
        case 8:
            return torch.rot90(shown, -1, (-2, -1))
    return shown
