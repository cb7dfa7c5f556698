"""A volume as a DICOM series, a file a slice, by pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from segxfer3d import files
from segxfer3d.errors import InputError

SOP_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def scale_of(values: NDArray[Any]) -> tuple[float, float, NDArray[np.int64]]:
    """Slope, intercept and stored values of 16 bits that stand for values.

    The slope is 1 for whole numbers that fit. Scanners and converters write whole multiples of a slope as floats; that
    one is found from the least distance of two values on. Where values are no such multiples, the range over 65535 is
    the slope. Numbers are as exact as DICOM's 16 characters are.
    """
    known = np.unique(values).astype(np.float64)
    if (
        np.array_equal(known, np.round(known))
        and known[0] >= -32768
        and known[-1] <= (65535 if known[0] >= 0 else 32767)
    ):
        return 1.0, 0.0, values.astype(np.int64)
    slope = float(np.diff(known).min())
    for _ in range(5):
        multiples = np.round(known / slope)
        slope = _as_ds(float(multiples @ known / (multiples @ multiples)))
    used = multiples != 0
    half = np.spacing(np.abs(known[used]).astype(np.float32)).astype(np.float64) / 2
    low, high = (known[used] - half) / multiples[used], (known[used] + half) / multiples[used]
    slope = _as_ds(float(low.max() + high.min()) / 2)  # rounds to every value in float32, if any does
    coarse, lowest = _as_ds(float(np.ptp(known)) / 65535), _as_ds(float(known[0]))
    if multiples[0] >= 0 and multiples[-1] <= 65535 and np.abs(multiples * slope - known).max() < coarse / 4:
        return slope, 0.0, np.round(values.astype(np.float64) / slope).astype(np.int64)
    return coarse, lowest, np.clip(np.round((values.astype(np.float64) - lowest) / coarse), 0, 65535).astype(np.int64)


def _as_ds(number: float) -> float:
    return float(format_number_as_ds(number))


def write_series(
    folder: Path, array: NDArray[Any], affine: NDArray[np.float64], *, patient: str, modality: str
) -> None:
    """A DICOM file a slice of (X, Y, Z), by pydicom.

    Raises:
        InputError: axes x, y, z that are not right-handed in DICOM's axes, as those of no series are.
    """
    lps = _TO_LPS @ affine
    if np.linalg.det(lps[:3, :3]) <= 0:
        raise InputError(f"{folder}: a left-handed volume, which no series of slices can be in its own order")
    slope, intercept, stored = scale_of(array)
    signed = bool(stored.min() < 0)
    sides = np.linalg.norm(lps[:3, :3], axis=0)
    files.make_folder(folder)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(array.shape[2]):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = SOP_CLASSES[modality], generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.PatientID, dataset.PatientName, dataset.Modality = patient, patient, modality
        dataset.SeriesNumber, dataset.InstanceNumber, dataset.ImageType = 1, k + 1, ["DERIVED", "PRIMARY"]
        dataset.ImagePositionPatient = [_as_ds(x) for x in (lps @ (0, 0, k, 1))[:3].tolist()]
        dataset.ImageOrientationPatient = [_as_ds(x) for x in (lps[:3, :2] / sides[:2]).T.ravel().tolist()]
        dataset.PixelSpacing = [_as_ds(float(sides[1])), _as_ds(float(sides[0]))]
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = int(signed)
        dataset.PixelData = stored[:, :, k].T.astype("<i2" if signed else "<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        pydicom.dcmwrite(folder / dataset.SOPInstanceUID, dataset, enforce_file_format=True)
