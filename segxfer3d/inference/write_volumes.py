"""Masks and probabilities of volumes as files that overlay their image in other programs.

A NIfTI keeps the header of its image, so that a program that takes the sform and one that takes the qform both put the
mask where they put the image. What is put together from DICOM gets both forms. A sheared grid (a tilted gantry) becomes
NRRD, which keeps the shear where ITK, 3D Slicer and ITK-SNAP read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.io import dicom, nifti
from segxfer3d.data.io.itk import write_itk
from segxfer3d.data.io.shear import is_sheared


@dataclass(frozen=True)
class VolumeFormat:
    """How what belongs to a volume is written.

    Attributes:
        ending: of the files.
        affine: of the volume, to RAS+ millimeters.
        header: of its NIfTI, whose place is kept; None for other formats.
        why: what a user should hear of the choice.
    """

    ending: str
    affine: NDArray[np.float64]
    header: Any = None
    why: str = ""

    def write(self, path: Path, array: NDArray[Any]) -> None:
        """Write (X, Y, Z), whole or not at all.

        Raises:
            InputError: it cannot be written; the message names the file.
        """
        if self.ending in nifti.ENDINGS:
            nifti.write_nifti(path, array, self.affine, header=self.header)
        else:
            write_itk(path, array, self.affine)


def volume_format(
    affine: NDArray[np.float64], shape: Sequence[int], *, source: Path | None = None, mask_format: str = "auto"
) -> VolumeFormat:
    """Choose the format that overlays a volume wherever the volume can be seen.

    Args:
        affine: of the volume, to RAS+ millimeters.
        shape: of the volume (X, Y, Z).
        source: its file or folder.
        mask_format: one of :data:`segxfer3d.config.masks.FORMATS`; ``auto`` is ``nii.gz``, and ``nrrd`` for a sheared
            grid that does not come from a NIfTI.

    Raises:
        InputError: the header of a NIfTI cannot be read.
    """
    header = nifti.read_header(source) if source is not None and _is_nifti(source) else None
    sheared = is_sheared(affine, shape)
    if mask_format == "auto":
        mask_format = "nrrd" if sheared and header is None else "nii.gz"
        why = (
            "its grid is sheared (a tilted gantry), so the mask is NRRD: ITK and 3D Slicer open no sheared NIfTI"
            if mask_format == "nrrd"
            else "its grid is sheared, so ITK and 3D Slicer open neither the image nor the mask with its header; "
            "--mask_format nrrd is opened"
            if sheared
            else ""
        )
        return VolumeFormat(f".{mask_format}", affine, header, why)
    why = "its grid is sheared: ITK and 3D Slicer do not open the mask" if sheared and "nii" in mask_format else ""
    return VolumeFormat(f".{mask_format}", affine, header, why)


def _is_nifti(path: Path) -> bool:
    name = path.name.lower()
    pair = name.endswith(nifti.PAIR) and not dicom.has_mark(path)
    return not path.is_dir() and (pair or name.endswith(nifti.ENDINGS))
