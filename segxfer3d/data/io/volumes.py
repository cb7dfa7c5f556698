"""Read volumes of every supported format into one convention: axes x, y, z and an affine to RAS+ millimeters.

MONAI reads MetaImage and NRRD only with ``itk`` and DICOM only with ``pydicom``; here SimpleITK reads all three, and a
DICOM folder that holds two series or lacks a slice is refused instead of being made into one wrong volume.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from segxfer3d.data.io import dicom, itk, nifti
from segxfer3d.errors import InputError

FORMATS = (*nifti.ENDINGS, *itk.ENDINGS)

GRID_TOLERANCE = 0.1  # of the smallest voxel side, by which image and label may lie apart


@dataclass(frozen=True)
class Volume:
    """A 3D image.

    Attributes:
        array: (X, Y, Z) in the file's own type; float32 where the file stores a scale for its values.
        affine: (4, 4) float64, from voxel index to world millimeters, RAS+.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighboring voxels along each axis, in millimeters."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z


def volume_name(path: str | os.PathLike[str]) -> str:
    """The name of a volume file without its ending, or of a folder; empty for any other file."""
    path = Path(path)
    for suffix in FORMATS:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name if path.is_dir() else ""


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a NIfTI (by nibabel), MetaImage or NRRD file, or a folder with one DICOM series (by SimpleITK).

    Trailing axes of length 1 are dropped. Labels are read the same way.

    Raises:
        InputError: no such file, unknown format, damaged or incomplete, not a volume of one channel and at least two
            slices, or without a usable geometry. The message names the path.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        return _checked(path, *dicom.read_dicom(path))
    if path.name.lower().endswith(nifti.ENDINGS):
        return _checked(path, *nifti.read_nifti(path))
    if path.name.lower().endswith(itk.ENDINGS):
        return _checked(path, *itk.read_itk(path))
    raise InputError(f"{path}: not a volume; expected {', '.join(FORMATS)} or a folder with a DICOM series")


def grid_difference(image: Volume, label: Volume) -> str:
    """Say how the grid of a label differs from its image's; empty where the two are the same.

    Affines count as the same where every corner of the volume lands within :data:`GRID_TOLERANCE`: files that went
    through different programs differ by rounding.
    """
    if image.array.shape != label.array.shape:
        return f"the label's shape {_by(label.array.shape)} is not its image's {_by(image.array.shape)}"
    ends = np.meshgrid(*[(0, n - 1) for n in image.array.shape])
    corners = np.stack([*(end.ravel() for end in ends), np.ones(8)])
    shift = np.linalg.norm(((label.affine - image.affine) @ corners)[:3], axis=0).max()
    if shift > GRID_TOLERANCE * min(image.spacing):
        return f"the label's affine is not its image's (corners lie up to {shift:.3g} mm apart)"
    return ""


class VolumeReader(ImageReader):
    """:func:`read_volume` for MONAI: ``LoadImaged(keys, reader=VolumeReader)``.

    :meth:`read` only takes the path: what it raised, MONAI would swallow and go on to its own readers, so that a
    refused file would be read after all. What :meth:`get_data` raises arrives.
    """

    def verify_suffix(self, filename: Any) -> bool:
        """Whether all names are of volumes that :func:`read_volume` knows."""
        return all(volume_name(name) for name in _names(filename))

    def read(self, data: Any, **_: Any) -> list[Path]:
        """Take the path."""
        return [Path(name) for name in _names(data)]

    def get_data(self, img: list[Path]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Read the volume: array (X, Y, Z) and the metadata that MONAI wants.

        Raises:
            InputError: see :func:`read_volume`; or several paths given.
        """
        if len(img) != 1:
            raise InputError(f"{img[0] if img else 'no file'}: expected one volume for an image, got {len(img)}")
        volume = read_volume(img[0])
        return volume.array, {
            MetaKeys.AFFINE: volume.affine,
            MetaKeys.ORIGINAL_AFFINE: volume.affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.array(volume.array.shape),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's word for no channel axis
        }


def _names(paths: Any) -> Sequence[Any]:
    return [paths] if isinstance(paths, (str, os.PathLike)) else paths


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _checked(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> Volume:
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or min(array.shape) < 2:
        raise InputError(f"{path}: expected a 3D volume of one channel, got shape {_by(array.shape)}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected plain numbers, got voxels of type {array.dtype}")
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise InputError(f"{path}: no usable geometry, its affine is {affine.tolist()}")
    return Volume(array.astype(array.dtype.newbyteorder("="), copy=False), affine)
