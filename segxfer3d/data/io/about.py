"""What the header of a volume file says before its voxels are read."""

from __future__ import annotations

from typing import NamedTuple


class About(NamedTuple):
    """Of a MetaImage or NRRD file.

    Attributes:
        shape: of the volume.
        item: bytes of a voxel.
        unit: millimeters that the file's unit of length is.
        notes: what a user should hear.
    """

    shape: tuple[int, ...]
    item: int
    unit: float = 1.0
    notes: tuple[str, ...] = ()
