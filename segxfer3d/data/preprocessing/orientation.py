"""Axes to the right, anterior and up, in one pass over a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_ras(
    array: NDArray[Any], affine: NDArray[np.float64], change: Callable[[Tensor], object] | None = None
) -> Tensor:
    """A volume with its axes turned and flipped to right, anterior and up, as MONAI's ``Orientation`` does.

    Files store x next to x, a network's input has z next to z. A copy from the one order to the other that goes
    through a whole volume at once misses the processor's cache at almost every voxel; so it goes plane by plane, and
    converts each while it is there.

    Args:
        array: (X, Y, Z) of any type of numbers, in any order in memory.
        affine: (4, 4) from voxel index to world, RAS+.
        change: what is done to every voxel by itself, in place, on float32 of any shape.

    Returns:
        (X', Y', Z') float32, contiguous.
    """
    turned = nibabel.orientations.apply_orientation(array, nibabel.orientations.io_orientation(affine))
    result = torch.empty(turned.shape)
    together = int(np.argmin(np.abs(turned.strides)))  # the axis along which neighbors lie side by side in memory
    across = 1 if together == 0 else 0
    planes, targets = np.moveaxis(turned, across, 0), np.moveaxis(result.numpy(), across, 0)
    if together != 2:
        planes = planes.swapaxes(1, 2)
    values = torch.empty(planes.shape[1:])  # one for all planes: memory that is fresh costs more than the work in it
    back = torch.empty((planes.shape[2], planes.shape[1]))
    for plane, target in zip(planes, targets, strict=True):
        np.copyto(values.numpy(), plane, casting="unsafe")
        if change is not None:
            change(values)
        # torch turns a small contiguous matrix several times as fast as NumPy copies a turned one
        target[...] = (values if together == 2 else back.copy_(values.t())).numpy()
    return result
