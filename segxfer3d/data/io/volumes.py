"""Read volumes of every supported format into one convention: axes x, y, z and an affine to RAS+ millimeters.

MONAI reads MetaImage and NRRD only with ``itk`` and DICOM only with ``pydicom``; here SimpleITK reads all three, and a
DICOM folder that holds two series or lacks a slice is refused instead of being made into one wrong volume.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from segxfer3d.errors import InputError

NIFTI = (".nii.gz", ".nii")
ITK = (".mhd", ".mha", ".nrrd")
FORMATS = (*NIFTI, *ITK)

GRID_TOLERANCE = 0.1  # of the smallest voxel side, by which image and label may lie apart
SLICE_TOLERANCE = 0.1  # of the usual distance, by which DICOM slices may be from even

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MET_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "DOUBLE": 8}

# What is wrong with a file arrives as an exception; the C++ warnings beside it would only litter the console.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


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
        return _checked(path, _read_dicom(path))
    if path.name.lower().endswith(NIFTI):
        return _checked(path, _read_nifti(path))
    if path.name.lower().endswith(ITK):
        return _checked(path, _read_itk(path))
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


def _names(given: Any) -> Sequence[Any]:
    return [given] if isinstance(given, (str, os.PathLike)) else given


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _checked(path: Path, volume: Volume) -> Volume:
    array, affine = volume.array, volume.affine
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or min(array.shape) < 2:
        raise InputError(f"{path}: expected a 3D volume of one channel, got shape {_by(array.shape)}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: expected plain numbers, got voxels of type {array.dtype}")
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise InputError(f"{path}: no usable geometry, its affine is {affine.tolist()}")
    return Volume(array.astype(array.dtype.newbyteorder("="), copy=False), affine)


def _read_nifti(path: Path) -> Volume:
    try:
        file = nibabel.load(path, mmap=False)
        stored = file.dataobj
        scaled = (stored.slope, stored.inter) != (1, 0)
        # float32, not nibabel's float64: half the memory, and still more digits than a scanner gives
        array = np.asarray(stored, np.float32 if scaled else None)
        return Volume(array, np.array(file.affine, np.float64))
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError) as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({_last_line(error)})") from error


def _read_itk(path: Path) -> Volume:
    if path.suffix.lower() == ".mhd":
        _check_raw(path)
    try:
        return _from_itk(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({_last_line(error)})") from error


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


def _from_itk(image: sitk.Image) -> Volume:
    array = sitk.GetArrayFromImage(image)
    channels = int(image.GetNumberOfComponentsPerPixel() > 1)
    # SimpleITK gives z, y, x; channels, which are refused later, come last
    array = array.transpose(*reversed(range(array.ndim - channels)), *[array.ndim - 1] * channels)
    n = image.GetDimension()
    affine = np.eye(n + 1)
    affine[:n, :n] = np.array(image.GetDirection()).reshape(n, n) * image.GetSpacing()
    affine[:n, n] = image.GetOrigin()
    return Volume(array, _LPS_TO_RAS @ affine if n == 3 else affine)


def _read_dicom(folder: Path) -> Volume:
    """The one series of a folder, slices in the order of their positions."""
    finder = sitk.ImageSeriesReader
    series = {uid: finder.GetGDCMSeriesFileNames(str(folder), uid) for uid in finder.GetGDCMSeriesIDs(str(folder))}
    if not series:
        raise InputError(f"{folder}: no DICOM series in this folder")
    if len(series) > 1:
        found = ", ".join(f"{uid} ({len(files)} files)" for uid, files in series.items())
        raise InputError(f"{folder}: {len(series)} DICOM series in one folder, expected one: {found}")
    (files,) = series.values()
    try:
        if len(files) == 1:  # one file with many frames
            return _from_itk(sitk.ReadImage(files[0]))
        order, step = _order_slices(folder, [_read_header(file) for file in files])
        volume = _from_itk(sitk.ReadImage([files[i] for i in order]))
    except RuntimeError as error:
        raise InputError(f"{folder}: DICOM series cannot be read ({_last_line(error)})") from error
    # ITK takes the slice distance from two slices and their normal; this is right for a tilted gantry too
    volume.affine[:3, 2] = _LPS_TO_RAS[:3, :3] @ step
    return volume


def _read_header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader


def _order_slices(folder: Path, headers: Sequence[sitk.ImageFileReader]) -> tuple[list[int], NDArray[np.float64]]:
    """The order of the slices along their normal, and the mean step (LPS, mm) from one to the next."""
    if len({(header.GetSize()[:2], tuple(np.round(header.GetDirection(), 4))) for header in headers}) > 1:
        raise InputError(f"{folder}: DICOM slices of different sizes or orientations in one series")
    positions = np.array([header.GetOrigin() for header in headers])
    normal = np.array(headers[0].GetDirection()).reshape(3, 3)[:, 2]
    order = np.argsort(positions @ normal)
    positions = positions[order]
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    after = f"{gaps[worst]:.4g} mm between the slices {worst + 1} and {worst + 2}, {usual:.4g} mm between others"
    if min(usual, gaps[worst]) < 0.01:
        raise InputError(f"{folder}: two DICOM slices at one position ({after})")
    if gaps[worst] > 1.5 * usual:
        raise InputError(f"{folder}: a DICOM slice is missing ({after})")
    if abs(gaps[worst] - usual) > SLICE_TOLERANCE * usual:
        raise InputError(f"{folder}: DICOM slices are unevenly spaced ({after})")
    return order.tolist(), (positions[-1] - positions[0]) / (len(positions) - 1)


def _last_line(error: BaseException) -> str:
    """Of a library's message, where the cause stands."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:150] if lines else type(error).__name__
