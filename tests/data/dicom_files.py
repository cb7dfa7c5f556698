"""DICOM files for tests, written by pydicom."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
PET = "1.2.840.10008.5.1.4.1.1.128"
AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]

Edit = Callable[[Dataset, int], None]


def stored(shape: Sequence[int] = (9, 8, 7), dtype: str = "uint16") -> NDArray:
    """(X, Y, Z) values that differ everywhere."""
    return (np.arange(np.prod(shape)).reshape(shape) % 1000).astype(dtype)


def blank(sop_class: str = CT, modality: str = "CT", series: str = "1.2.3.4", patient: str = "P1") -> Dataset:
    """What every file has."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, generate_uid()
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, "1.2.3"
    dataset.PatientID, dataset.Modality, dataset.SeriesNumber = patient, modality, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    return dataset


def with_pixels(dataset: Dataset, frames: Sequence[NDArray]) -> None:
    """Set frames (X, Y) of 16 bits."""
    dataset.Rows, dataset.Columns = frames[0].T.shape
    dataset.PixelRepresentation = int(frames[0].dtype.kind == "i")
    dataset.PixelData = b"".join(np.ascontiguousarray(frame.T).tobytes() for frame in frames)
    dataset["PixelData"].VR = "OW"


def save(dataset: Dataset, path: Path) -> Path:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def write_slices(
    folder: Path,
    array: NDArray,
    *,
    step: Sequence[float] = (0.0, 0.0, 2.5),
    edit: Edit = lambda dataset, k: None,
    finish: Edit = lambda dataset, k: None,
    name: str = "IM{:03d}.dcm",
    heights: Sequence[float] | None = None,
    **about: str,
) -> Path:
    """A file a slice of (X, Y, Z), pixels of 0.75 x 0.5 mm; ``edit`` changes a data set before, ``finish`` after the
    pixels are in it."""
    for k in range(array.shape[2]):
        dataset = blank(**about)
        dataset.InstanceNumber, dataset.ImageType = k + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.5, 0.75], AXIAL
        along = k if heights is None else heights[k]
        dataset.ImagePositionPatient = [float(along * s) for s in step]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        edit(dataset, k)
        with_pixels(dataset, [array[:, :, k]])
        finish(dataset, k)
        save(dataset, folder / name.format(k))
    return folder


def write_enhanced(
    path: Path,
    array: NDArray,
    *,
    order: Sequence[int] | None = None,
    slopes: Sequence[float] | None = None,
    edit_frame: Edit = lambda group, k: None,
    **about: str,
) -> Path:
    """One file with a frame for each slice of (X, Y, Z), stored in ``order``."""
    dataset = blank(**{"sop_class": ENHANCED_CT} | about)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = [0.5, 0.75], AXIAL
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    order = range(array.shape[2]) if order is None else order
    for k in order:
        group, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, 2.5 * k]
        values.RescaleSlope, values.RescaleIntercept = (slopes[k] if slopes else 1), -10
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [values]
        edit_frame(group, k)
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(groups)
    with_pixels(dataset, [array[:, :, k] for k in order])
    return save(dataset, path)
