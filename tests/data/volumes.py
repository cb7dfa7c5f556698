"""Small volumes on disk for the tests, the same one in every format."""

from __future__ import annotations

import locale
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

# neither identity nor diagonal: rotated about z, RAS+, uneven spacing
AFFINE = np.array([[0.8, -0.9, 0, -20], [0.6, 1.2, 0, 30], [0, 0, 2.5, -70], [0, 0, 0, 1]])
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ct(shape: tuple[int, ...] = (9, 8, 7), seed: int = 0) -> NDArray[np.int16]:
    """Random HU."""
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


def write_nifti(path: Path, array: NDArray, affine: NDArray = AFFINE) -> Path:
    """Write NIfTI; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def itk_image(array: NDArray, affine: NDArray = AFFINE) -> sitk.Image:
    """The volume (X, Y, Z) as SimpleITK holds it."""
    image = sitk.GetImageFromArray(array.T)
    lps = _LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_itk(path: Path, array: NDArray, affine: NDArray = AFFINE) -> Path:
    """Write MetaImage or NRRD; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(itk_image(array, affine), str(path))
    return path


@contextmanager
def locale_kept() -> Iterator[None]:
    """SimpleITK sets the process's locale to "C" where it writes DICOM (where it reads, it does not), and leaves it so:
    whatever opens a text without an encoding later would take it for ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@locale_kept()
def write_dicom(
    folder: Path,
    array: NDArray,
    affine: NDArray = AFFINE,
    series: str = "1.2.3",
    without: Sequence[int] = (),
    positions: Sequence[float] | None = None,
) -> Path:
    """Write one DICOM file per slice, named so that the order of names is not that of positions.

    Args:
        folder: made if missing.
        array: (X, Y, Z) int16.
        affine: of the volume.
        series: its uid; also begins the file names.
        without: numbers of slices to leave out.
        positions: of the slices along the normal, in slices; 0, 1, 2, ... if not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = itk_image(array, affine)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for i in range(array.shape[2]):
        if i in without:
            continue
        place = image.GetOrigin() + direction[:, 2] * image.GetSpacing()[2] * (positions[i] if positions else i)
        part = image[:, :, i]
        for tag, value in {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{series}.{i + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2.3.4.5",
            "0020|000e": series,
            "0020|0013": str(i + 1),
            "0020|0032": "\\".join(f"{v:.6f}" for v in place),
            "0020|0037": "\\".join(f"{v:.6f}" for v in (*direction[:, 0], *direction[:, 1])),
            "0028|0030": f"{image.GetSpacing()[1]:.6f}\\{image.GetSpacing()[0]:.6f}",
            "0028|1052": "0",
            "0028|1053": "1",
        }.items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}-{(i * 5 + 3) % 97:03d}.dcm"))
        writer.Execute(part)
    return folder
