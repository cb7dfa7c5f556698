"""The option that says how masks are written."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

DICOM_SEG = "dicom-seg"
FORMATS = ("auto", "nii.gz", "nii", "nrrd", "mha", DICOM_SEG)


@dataclass(frozen=True)
class Masks(Group):
    """How masks are written."""

    mask_format: str = option(
        "auto", "of masks of volumes; auto: NIfTI, with an image's own header; NRRD of a sheared DICOM series",
        choices=FORMATS,
    )  # fmt: skip
