"""A folder with one DICOM series, by SimpleITK.

A folder that holds two series or lacks a slice is refused instead of being made into one wrong volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from segxfer3d.data.io import cause
from segxfer3d.data.io.itk import LPS_TO_RAS, from_itk
from segxfer3d.errors import InputError

SLICE_TOLERANCE = 0.1  # of the usual distance, by which DICOM slices may be from even


def read_dicom(folder: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The voxels of the one series of a folder, slices in the order of their positions, and the affine (RAS+, mm).

    Raises:
        InputError: no series, several, slices that are missing, twice there or unevenly spaced, or a damaged file.
    """
    finder = sitk.ImageSeriesReader
    series = {uid: finder.GetGDCMSeriesFileNames(str(folder), uid) for uid in finder.GetGDCMSeriesIDs(str(folder))}
    if not series:
        raise InputError(f"{folder}: no DICOM series in this folder")
    if len(series) > 1:
        listed = ", ".join(f"{uid} ({len(files)} files)" for uid, files in series.items())
        raise InputError(f"{folder}: {len(series)} DICOM series in one folder, expected one: {listed}")
    (files,) = series.values()
    try:
        if len(files) == 1:  # one file with many frames
            return from_itk(sitk.ReadImage(files[0]))
        order, step = _order_slices(folder, [_read_header(file) for file in files])
        array, affine = from_itk(sitk.ReadImage([files[i] for i in order]))
    except RuntimeError as error:
        raise InputError(f"{folder}: DICOM series cannot be read ({cause(error)})") from error
    # ITK takes the slice distance from two slices and their normal; this is right for a tilted gantry too
    affine[:3, 2] = LPS_TO_RAS[:3, :3] @ step
    return array, affine


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
