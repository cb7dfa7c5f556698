"""Reading volumes: NIfTI by nibabel; MHD, MHA, NRRD and DICOM folders by SimpleITK. Neither itk nor pydicom is needed."""

from __future__ import annotations

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
from numpy.typing import NDArray

from segxfer3d.errors import InputError

NIFTI = (".nii", ".nii.gz")
ITK = (".mhd", ".mha", ".nrrd")
SLICE_TOLERANCE = 0.1  # of a slice distance: how far DICOM slices may be from even

sitk.ProcessObject.SetGlobalWarningDisplay(False)


@dataclass(frozen=True)
class Volume:
    """A volume: ``array`` (X, Y, Z) and ``affine`` (4, 4), voxel index to world millimeters, RAS+."""

    array: NDArray[Any]
    affine: NDArray[np.float64]


def is_volume(path: Path) -> bool:
    """Whether the name is that of a volume file that can be read."""
    return path.name.lower().endswith((*NIFTI, *ITK))


def is_dicom_folder(path: Path) -> bool:
    """Whether a folder holds at least one DICOM series directly."""
    return path.is_dir() and bool(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path)))


def stem(path: Path) -> str:
    """The file's name without its endings."""
    name = path.name
    for suffix in sorted((*NIFTI, *ITK), key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_volume(path: str | Path) -> Volume:
    """Read one volume in the data type its file gives.

    Raises:
        InputError: no such file, damaged, not three-dimensional, a header without its data, a DICOM folder with
            several series or a missing slice.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        return _read_dicom(path)
    if path.name.lower().endswith(NIFTI):
        return _read_nifti(path)
    if path.name.lower().endswith(ITK):
        return _read_itk(path)
    raise InputError(f"{path}: not a volume; expected {', '.join((*NIFTI, *ITK))} or a DICOM folder")


def _read_nifti(path: Path) -> Volume:
    try:
        image = nibabel.load(path)
        array = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({_first_line(error)})") from error
    return _checked(path, array, np.asarray(image.affine, dtype=np.float64))


def _read_itk(path: Path) -> Volume:
    if path.suffix.lower() == ".mhd":
        _check_raw(path)
    try:
        return _from_itk(path, sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({_first_line(error)})") from error


def _check_raw(path: Path) -> None:
    """The data file that an .mhd header names has to be there."""
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ElementDataFile" and value.strip() not in ("LOCAL", "LIST"):
            data = path.parent / value.strip()
            if "%" not in value and not data.is_file():
                raise InputError(f"{path}: its data file {data.name} is missing")


def _read_dicom(path: Path) -> Volume:
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))
    if not series:
        raise InputError(f"{path}: no DICOM series in this folder")
    if len(series) > 1:
        raise InputError(f"{path}: {len(series)} DICOM series in one folder, expected one: {', '.join(series)}")
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series[0])
    _check_slices(path, files)
    try:
        return _from_itk(path, sitk.ReadImage(files))
    except RuntimeError as error:
        raise InputError(f"{path}: DICOM series cannot be read ({_first_line(error)})") from error


def _check_slices(path: Path, files: Sequence[str]) -> None:
    reader = sitk.ImageFileReader()
    positions = []
    for file in files:
        reader.SetFileName(file)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise InputError(f"{file}: DICOM slice cannot be read ({_first_line(error)})") from error
        direction = np.array(reader.GetDirection()).reshape(reader.GetDimension(), -1)[:3, 2]
        positions.append(float(np.dot(direction, reader.GetOrigin()[:3])))
    gaps = np.abs(np.diff(np.sort(positions)))
    if len(gaps) == 0:
        return
    usual = float(np.median(gaps))
    worst = int(np.argmax(np.abs(gaps - usual)))
    if abs(gaps[worst] - usual) > SLICE_TOLERANCE * usual:
        at = np.sort(positions)[worst]
        raise InputError(
            f"{path}: a slice is missing or doubled: slices are {usual:g} mm apart, but {gaps[worst]:g} mm after {at:g} mm"
        )


def _from_itk(path: Path, image: sitk.Image) -> Volume:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path}: expected a 3D volume of one channel, got size {image.GetSize()}")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK's world is LPS
    return _checked(path, sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine)


def _checked(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> Volume:
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or min(array.shape) < 2:
        raise InputError(f"{path}: expected a 3D volume, got shape {array.shape}")
    return Volume(array, affine)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:150] if lines else type(error).__name__


class VolumeReader(ImageReader):
    """:func:`read_volume` for MONAI's ``LoadImage``."""

    def verify_suffix(self, filename: Any) -> bool:
        """Every file is tried: what cannot be read is refused with a message of ours."""
        return True

    def read(self, data: Any, **_: Any) -> Volume:
        """Read one volume."""
        return read_volume(data[0] if isinstance(data, (list, tuple)) else data)

    def get_data(self, img: Volume) -> tuple[NDArray[Any], dict[str, Any]]:
        """The array, and the metadata that MONAI wants."""
        meta = {
            MetaKeys.AFFINE: img.affine,
            MetaKeys.ORIGINAL_AFFINE: img.affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.asarray(img.array.shape),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),
        }
        return img.array, meta
