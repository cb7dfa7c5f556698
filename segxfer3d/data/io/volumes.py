"""Read volumes of every supported format into one convention: axes x, y, z and an affine to RAS+ millimeters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.io import dicom, itk, nifti
from segxfer3d.data.io.segments import has_layers, read_layers
from segxfer3d.data.io.whole_numbers import rounded_if_close
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

FORMATS = (*nifti.ENDINGS, *itk.ENDINGS, *nifti.MGH, nifti.PAIR[0])

_LEAST_SIDE, _MOST_SIDE = 1e-7, 1e5  # of a voxel, millimeters
_CLIP = 1e100  # what a header may say beyond it, whose square is no number any more
GRID_TOLERANCE = 0.1  # of the smallest voxel side, by which image and label may lie apart


@dataclass(frozen=True)
class Volume:
    """A 3D image.

    Attributes:
        array: (X, Y, Z) in the file's own type; float32 where the file stores a scale for its values.
        affine: (4, 4) float64, from voxel index to world millimeters, RAS+.
        notes: what a user should hear of how the file was read.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighboring voxels along each axis, in millimeters."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z


def volume_name(path: str | os.PathLike[str]) -> str:
    """The name of a volume file without its ending, or of a folder, in one form of letters with marks; empty for any
    other file."""
    path = Path(path)
    if ending := volume_ending(path):
        return one_form(path.name[: -len(ending)])
    return one_form(path.name) if path.is_dir() else ""


def volume_ending(path: str | os.PathLike[str]) -> str:
    """The ending of a volume file as it is spelled there, such as ``.nii.gz``; empty for any other file."""
    name = Path(path).name
    return next((name[-len(ending) :] for ending in FORMATS if name.lower().endswith(ending)), "")


def read_volume(path: str | os.PathLike[str], *, uneven: str = "refuse") -> Volume:
    """Read a NIfTI (``.nii``, ``.nii.gz``, ``.hdr`` with ``.img``) or MGH file (by nibabel), a MetaImage or NRRD file
    (by SimpleITK), or DICOM (by pydicom): a folder with one series, or a file, see
    :func:`~segxfer3d.data.io.dicom.read_dicom`.

    Trailing axes of length 1 are dropped. Labels are read the same way.

    Args:
        path: of a file or a folder.
        uneven: ``refuse`` or ``resample`` DICOM slices that are missing or unevenly spaced.

    Raises:
        InputError: no such file, unknown format, damaged or incomplete, larger than memory, not a volume of one channel
            and at least two slices, or without a usable geometry. The message names the path.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    array, affine, notes = _read(path, uneven)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or min(array.shape) < 2:
        raise InputError(f"{path}: expected a 3D volume of one channel, got shape {_by(array.shape)}")
    return _checked(path, array, affine, notes)


def read_channels(path: str | os.PathLike[str], *, uneven: str = "refuse") -> tuple[Volume, ...]:
    """The channels of a volume file, on one grid: as many as its fourth axis is long, or one.

    A NIfTI of vectors has a fourth axis of length 1 before that of its channels, which is dropped. The channels are
    views of one array; the first one has the notes.

    Args:
        path: of a file or a folder, as of :func:`read_volume`.
        uneven: see there.

    Raises:
        InputError: as there, but for the number of channels.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    array, affine, notes = _read(path, uneven)
    while array.ndim > 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    while array.ndim > 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or min(array.shape[:3]) < 2 or not array.shape[3]:
        raise InputError(f"{path}: expected a 3D volume of one channel, got shape {_by(array.shape)}")
    first = _checked(path, array[..., 0], affine, notes)
    others = (array[..., number] for number in range(1, array.shape[3]))
    return (first, *(_checked(path, other, affine, ()) for other in others))


def _read(path: Path, uneven: str) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """The voxels as a file has them, with its affine (RAS+, millimeters) and notes."""
    name = path.name.lower()
    if path.is_dir() or (not name.endswith((*FORMATS, nifti.PAIR[1])) and dicom.looks_like_dicom(path)):
        array, affine, note = dicom.read_dicom(path, uneven=uneven)
        return array, affine, (note,) if note else ()
    if name.endswith(nifti.PAIR[1]) and dicom.has_mark(path):
        array, affine, note = dicom.read_dicom(path, uneven=uneven)
        return array, affine, (note,) if note else ()
    if name.endswith((*nifti.ENDINGS, *nifti.PAIR)):
        return nifti.read_nifti(path)
    if name.endswith(nifti.MGH):
        return *nifti.read_mgh(path), ()
    if name.endswith(itk.ENDINGS):
        return itk.read_itk(path)
    raise InputError(
        f"{path}: not a volume; expected {', '.join(FORMATS)}, a DICOM file or a folder with a DICOM series"
    )


def read_label(path: str | os.PathLike[str]) -> Volume:
    """As :func:`read_volume`, of a label: fractions are whole numbers where all of them lie within
    :data:`~segxfer3d.data.io.whole_numbers.TOLERANCE` of one, as programs that resample or scale leave them; where some
    do not, values stay as they are, for the check to name. A segmentation of 3D Slicer in layers is one label map if
    its segments do not overlap, see :mod:`~segxfer3d.data.io.segments`.

    Raises:
        InputError: as there.
    """
    path = Path(path)
    volume = _checked(path, *read_layers(path)) if has_layers(path) else read_volume(path)
    rounded = rounded_if_close(volume.array)
    return volume if rounded is None else replace(volume, array=rounded)


def grid_difference(image: Volume, label: Volume, *, what: str = "label") -> str:
    """Say how the grid of a label, or of what else is called so, differs from its image's; empty where the two are the
    same.

    Affines count as the same where every corner of the volume lands within :data:`GRID_TOLERANCE`: files that went
    through different programs differ by rounding.
    """
    if image.array.shape != label.array.shape:
        return f"the {what}'s shape {_by(label.array.shape)} is not its image's {_by(image.array.shape)}"
    ends = np.meshgrid(*[(0, n - 1) for n in image.array.shape])
    corners = np.stack([*(end.ravel() for end in ends), np.ones(8)])
    shift = np.linalg.norm(((label.affine - image.affine) @ corners)[:3], axis=0).max()
    if shift > GRID_TOLERANCE * min(image.spacing):
        return f"the {what}'s affine is not its image's (corners lie up to {shift:.3g} mm apart)"
    return ""


def _by(shape: Iterable[object]) -> str:
    return "x".join(map(str, shape))


def _checked(path: Path, array: NDArray[Any], affine: NDArray[np.float64], notes: tuple[str, ...]) -> Volume:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected plain numbers, got voxels of type {array.dtype}")
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"{path}: no usable geometry, its affine is {affine.tolist()}")
    sides = np.linalg.norm(affine[:3, :3].clip(-_CLIP, _CLIP), axis=0)
    if wrong := [side for side in sides if not _LEAST_SIDE < side < _MOST_SIDE]:
        size = f"{wrong[0]:.3g}" if wrong[0] else "0"
        raise InputError(
            f"{path}: no usable geometry, a voxel size of {size} ({_by(f'{side:.4g}' for side in sides)} mm)"
        )
    if abs(np.linalg.det(affine[:3, :3] / sides)) < 1e-6:
        raise InputError(f"{path}: no usable geometry, its affine is {affine.tolist()}")
    return Volume(array.astype(array.dtype.newbyteorder("="), copy=False), affine, notes)
