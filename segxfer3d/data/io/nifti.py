"""NIfTI, by nibabel."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.data.io import cause
from segxfer3d.errors import InputError

ENDINGS = (".nii.gz", ".nii")

_GZIP_LEVEL = 1  # nibabel's: masks shrink well at any level, and a CT's probabilities take seconds


def read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels as stored (float32 where the file has a scale for them), and the affine (RAS+, millimeters).

    Raises:
        InputError: damaged or truncated.
    """
    try:
        file = nibabel.load(path, mmap=False)
        stored = file.dataobj
        scaled = (stored.slope, stored.inter) != (1, 0)
        # float32, not nibabel's float64: half the memory, and still more digits than a scanner gives
        array = np.asarray(stored, np.float32 if scaled else None)
        return array, np.array(file.affine, np.float64)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write (X, Y, Z) with its affine (RAS+, millimeters), whole or not at all; compressed where the name ends in
    ``.gz``.

    Raises:
        InputError: it cannot be written; the message names the file.
    """
    nifti = nibabel.Nifti1Image(array, affine)
    nifti.header.set_xyzt_units("mm")
    with files.replacing(path) as file:
        if path.suffix != ".gz":
            nifti.to_stream(file)
            return
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as compressed:  # no time: same voxels, same bytes
            nifti.to_stream(compressed)
