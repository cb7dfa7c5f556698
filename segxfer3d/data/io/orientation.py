"""Where a NIfTI lies: which of its two forms is taken, at which scale, and in which unit.

A header may have an sform, a qform and voxel sizes (pixdim), which programs keep in step or do not; codes of 0 say that
a form means nothing (https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h). The sform comes first, as in nibabel,
unless its voxel sizes are not those of pixdim, which then decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

_UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # meter, millimeter, micron, in millimeters; 0 says nothing
_UNIT_NAMES = {1: "meters", 3: "microns"}
_SCALE_TOLERANCE = 0.01  # share by which voxel sizes may differ
_PLACE_TOLERANCE = 0.1  # of the smallest voxel side, by which the corners of two forms may lie apart


def affine_of(header: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """From voxel index to RAS+ millimeters, and what a user should hear.

    Args:
        header: nibabel's, of a NIfTI.

    Raises:
        HeaderDataError: a form that cannot be used.
    """
    affine, notes = _form(header)
    unit = int(header["xyzt_units"]) & 7
    if factor := _UNITS.get(unit, 1.0) if unit in _UNIT_NAMES else 0:
        affine[:3] *= factor
        notes.append(f"its unit is {_UNIT_NAMES[unit]}, which became millimeters")
    return affine, tuple(notes)


def _form(header: Any) -> tuple[NDArray[np.float64], list[str]]:
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code == 0:
        if qform_code == 0:
            return np.array(header.get_base_affine(), np.float64), [
                "sform and qform both have code 0, so that nothing says which side is left; "
                "taken as nibabel does (x to the left, centered)"
            ]
        return np.array(header.get_qform(), np.float64), []
    sform = np.array(header.get_sform(), np.float64)
    qform = _qform(header) if qform_code > 0 else None
    sizes, pixdim = np.linalg.norm(sform[:3, :3], axis=0), np.abs(np.array(header["pixdim"][1:4], np.float64))
    said = bool(np.isfinite(pixdim).all() and pixdim.all()) and not (qform is None and (pixdim == 1).all())
    if not said or np.allclose(sizes, pixdim, rtol=_SCALE_TOLERANCE, atol=0):
        if qform is not None and _apart(header, sform, qform):
            return sform, [
                f"sform (code {sform_code}) and qform (code {qform_code}) disagree; the sform is taken, as nibabel does"
            ]
        return sform, []
    differ = f"the sform's voxels are {_by(sizes)} mm, pixdim's {_by(pixdim)} mm, which decides"
    if qform is not None:
        return qform, [f"{differ}: the qform is taken"]
    if not sizes.all():
        return sform, []
    sform[:3, :3] *= pixdim / sizes
    return sform, [f"{differ}: the sform's directions are taken"]


def _qform(header: Any) -> NDArray[np.float64] | None:
    try:
        qform = np.array(header.get_qform(), np.float64)
    except HeaderDataError:  # a quaternion that is none
        return None
    return qform if np.isfinite(qform).all() else None


def _apart(header: Any, sform: NDArray[np.float64], qform: NDArray[np.float64]) -> bool:
    """Whether the corners of the volume lie at other places by one form than by the other."""
    shape = (*header.get_data_shape(), 1, 1, 1)[:3]
    ends = np.meshgrid(*[(0, length - 1) for length in shape])
    corners = np.stack([*(end.ravel() for end in ends), np.ones(8)])
    shift = np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max()
    return bool(shift > _PLACE_TOLERANCE * np.linalg.norm(sform[:3, :3], axis=0).min())


def _by(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
