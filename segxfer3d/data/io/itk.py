"""MetaImage and NRRD, by SimpleITK in a worker process, after a look at their headers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.data.io import cause, guard, metaimage, nrrd
from segxfer3d.errors import InputError

ENDINGS = (".mhd", ".mha", ".nrrd", ".nhdr")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path, *, layers: bool = False) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """The voxels as stored, the affine (RAS+, millimeters), and notes.

    Args:
        path: of the file.
        layers: read a segmentation of 3D Slicer in layers, which come last: (X, Y, Z, layers).

    Raises:
        InputError: damaged, truncated, larger than memory, or without its data files.
    """
    check = metaimage.check if path.suffix.lower() in metaimage.ENDINGS else partial(nrrd.check, layers=layers)
    try:
        shape, item, unit, notes = check(path)
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        why = f"its header lacks, or has no known, {str(error)[:100]}" if isinstance(error, KeyError) else cause(error)
        raise InputError(f"{path}: cannot be read, damaged or truncated ({why})") from error
    dtype = np.dtype((np.void, item))
    guard.require_memory(path, shape, dtype)
    size = guard.size_of(shape, dtype)
    array, about = guard.call(f"{__name__}:read_in_worker", path, size=size, file=str(path))
    array, affine = _as_volume(array, about)
    affine[:3] *= unit
    return array, affine, notes


def read_in_worker(allocate: guard.Allocate, file: str) -> dict[str, Any]:
    """What the worker process does.

    Raises:
        RuntimeError: SimpleITK cannot read the file.
    """
    import SimpleITK as sitk

    # What is wrong with a file arrives as an exception; the C++ warnings beside it say nothing more.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(file)
    view = sitk.GetArrayViewFromImage(image)
    allocate(view.shape, view.dtype)[...] = view
    return {
        "channels": image.GetNumberOfComponentsPerPixel(),
        "direction": image.GetDirection(),
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
    }


def _as_volume(array: NDArray[Any], about: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Axes x, y, z and an affine (RAS+, millimeters) from what SimpleITK has."""
    channels = int(about["channels"] > 1)
    # SimpleITK gives z, y, x; channels come last
    array = array.transpose(*reversed(range(array.ndim - channels)), *[array.ndim - 1] * channels)
    n = len(about["origin"])
    affine = np.eye(n + 1)
    affine[:n, :n] = np.array(about["direction"]).reshape(n, n) * about["spacing"]
    affine[:n, n] = about["origin"]
    if n > 3:  # a series of volumes, which are channels, or of one
        affine = np.vstack([np.c_[affine[:3, :3], affine[:3, n]], [0, 0, 0, 1]])
    return array, LPS_TO_RAS @ affine if affine.shape == (4, 4) else affine


def write_itk(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write (X, Y, Z) as NRRD or MetaImage, by the ending, compressed, whole or not at all.

    Args:
        path: of the file.
        array: its voxels.
        affine: to RAS+ millimeters, of any shear.

    Raises:
        InputError: it cannot be written; the message names the file.
    """
    import SimpleITK as sitk

    lps = LPS_TO_RAS @ affine
    sides = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetSpacing(sides.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / sides).ravel().tolist())
    with files.replacing_path(path, path.suffix) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise OSError(cause(error)) from error
