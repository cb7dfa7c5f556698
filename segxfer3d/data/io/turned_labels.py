"""Labels on another orientation of their image's grid: the same voxels, with axes exchanged or turned around."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np

from segxfer3d.data.io.volumes import Volume, grid_difference

TURNED = "its label lies on another orientation of the same grid and is turned to its own"
_TILT = 0.01  # of a voxel, by which a step along an axis may miss the voxel that it leads to


def on_grid_of(label: Volume, image: Volume) -> Volume:
    """A label with its axes in the order and the directions of its image's, where the voxels of both are the same.

    Nothing is resampled: voxels change their indices only. A label on any other grid is given back as it is, and
    :func:`~segxfer3d.data.io.volumes.grid_difference` says how it differs.
    """
    if not grid_difference(image, label):
        return label
    steps = np.linalg.solve(image.affine, label.affine)[:3, :3]  # of the label, in voxels of its image
    whole = np.rint(steps)
    if np.abs(steps - whole).max() > _TILT or not _is_turn(whole):
        return label
    axes, ways = np.abs(whole).argmax(0), whole.sum(0)
    orientation = np.stack([axes, ways], 1)
    array = nibabel.orientations.apply_orientation(label.array, orientation)
    affine = label.affine @ nibabel.orientations.inv_ornt_aff(orientation, label.array.shape)
    turned = Volume(array, affine, (*label.notes, TURNED))
    return label if grid_difference(image, turned) else replace(turned, affine=image.affine)


def _is_turn(steps: np.ndarray) -> bool:
    """Whether every axis runs along one of the other grid, and no two along the same."""
    sizes = np.abs(steps)
    return bool((sizes.sum(0) == 1).all() and (sizes.sum(1) == 1).all())
