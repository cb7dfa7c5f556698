"""MetaImage and NRRD, by SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from segxfer3d.data.io import cause
from segxfer3d.errors import InputError

ENDINGS = (".mhd", ".mha", ".nrrd")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

_MET_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "DOUBLE": 8}

# What is wrong with a file arrives as an exception; the C++ warnings beside it would only litter the console.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels as stored, and the affine (RAS+, millimeters).

    Raises:
        InputError: damaged, truncated, or without its data file.
    """
    if path.suffix.lower() == ".mhd":
        _check_raw(path)
    try:
        return from_itk(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({cause(error)})") from error


def _check_raw(path: Path) -> None:
    """Find a missing or short data file of a MetaImage header; SimpleITK only says that it cannot read the header."""
    lines = path.read_text(encoding="latin-1").splitlines()
    header = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    name = header.get("ElementDataFile", "LOCAL")
    if name in ("LOCAL", "LIST") or "%" in name:
        return
    data = path.parent / name
    if not data.is_file():
        raise InputError(f"{path}: its data file {name} is missing")
    size = _MET_BYTES.get(header.get("ElementType", "").removeprefix("MET_"))
    if size is None or header.get("CompressedData", "False").lower() == "true":
        return
    for length in header.get("DimSize", "").split():
        size *= int(length)
    if data.stat().st_size < size:
        raise InputError(f"{path}: its data file {name} is truncated ({data.stat().st_size} of {size} bytes)")


def from_itk(image: sitk.Image) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels of an image of SimpleITK, (X, Y, Z), and its affine (RAS+, millimeters)."""
    array = sitk.GetArrayFromImage(image)
    channels = int(image.GetNumberOfComponentsPerPixel() > 1)
    # SimpleITK gives z, y, x; channels, which are refused later, come last
    array = array.transpose(*reversed(range(array.ndim - channels)), *[array.ndim - 1] * channels)
    n = image.GetDimension()
    affine = np.eye(n + 1)
    affine[:n, :n] = np.array(image.GetDirection()).reshape(n, n) * image.GetSpacing()
    affine[:n, n] = image.GetOrigin()
    return array, LPS_TO_RAS @ affine if n == 3 else affine
