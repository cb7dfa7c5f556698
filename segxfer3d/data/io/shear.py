"""Grids whose axes are not at right angles: slices of a CT with a tilted gantry.

ITK, and so 3D Slicer and ITK-SNAP, opens a NIfTI of such a grid not at all, or without the shear where the header has a
qform, which cannot hold one (ITK 5.4). NRRD, MetaImage and DICOM hold any grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.1  # of the smallest voxel side, by which a corner may move where the shear is left out


def without_shear(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine with the nearest axes at right angles, the same voxel sides and the same first voxel."""
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / sides)
    straight = affine.copy()
    straight[:3, :3] = left @ right * sides
    return straight


def is_sheared(affine: NDArray[np.float64], shape: Sequence[int]) -> bool:
    """Whether the corners of a volume would lie elsewhere without the shear of its grid, by more than rounding.

    Args:
        affine: (4, 4), voxel index to millimeters.
        shape: of the volume (X, Y, Z).
    """
    ends = np.meshgrid(*[(0, length - 1) for length in shape])
    corners = np.stack([end.ravel() for end in ends]).astype(np.float64)
    moved = np.linalg.norm((without_shear(affine) - affine)[:3, :3] @ corners, axis=0).max()
    return bool(moved > TOLERANCE * np.linalg.norm(affine[:3, :3], axis=0).min())
