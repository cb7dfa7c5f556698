"""A mask of a DICOM series as DICOM segmentation, by highdicom: what OHIF and PACS show over the series.

It refers to the series' own slices, so it holds any grid that they have, a tilted gantry's too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.data.io.dicom import looks_like_dicom, scan_of
from segxfer3d.data.io.dicom.frames import Frame
from segxfer3d.data.io.dicom.stacks import stack
from segxfer3d.errors import InputError
from segxfer3d.version import __version__

# of patient and study, type 2: they have to be there, empty where nobody knows them
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
_TISSUE = ("85756007", "SCT", "Tissue")  # what 3D Slicer calls a segment of which nothing else is known
_SERIES_NUMBER = 9000
_LONGEST = 64  # characters of a label (LO)


def refuse_dicom_seg(sources: Sequence[Path | None]) -> None:
    """What no DICOM segmentation can be made of.

    Raises:
        InputError: a volume that is not DICOM, slices that are resampled, or highdicom is missing.
    """
    if find_spec("highdicom") is None:
        raise InputError("mask_format dicom-seg: needs highdicom; pip install 'segxfer3d[dicom-seg]'")
    others = [path for path in sources if path is None or not (path.is_dir() or looks_like_dicom(path))]
    if others:
        name = others[0] or "a volume from nowhere"
        raise InputError(f"mask_format dicom-seg: for DICOM only, {name} is none ({len(others)} of {len(sources)})")
    for path in sources:
        if path is not None:
            _frames_of(path)


def _frames_of(source: Path) -> tuple[Frame, ...]:
    """Of a series, in the order of their positions.

    Raises:
        InputError: slices that are resampled.
    """
    scan = scan_of(source)
    found = stack(source, [frame for header in scan.headers for frame in header.frames], "resample")
    if found.even is not None:
        raise InputError(
            f"mask_format dicom-seg: {source}: slices are resampled, to which no DICOM segmentation can refer; "
            "expected another format"
        )
    return found.frames


def write_dicom_seg(path: Path, mask: NDArray[np.integer], classes: Mapping[int, str], *, source: Path) -> None:
    """Write a segment for each class, whole or not at all.

    Args:
        path: of the file.
        mask: label values (X, Y, Z) on the series' grid, slices in the order of their positions.
        classes: label value to name.
        source: folder or file of the series.

    Raises:
        InputError: as :func:`refuse_dicom_seg`; or the file cannot be written.
    """
    refuse_dicom_seg([source])
    import highdicom as hd

    segments = np.zeros(mask.shape, np.min_scalar_type(len(classes)))
    for number, value in enumerate(classes, 1):
        segments[mask == value] = number
    images, pixels = _with_sources(source, _frames_of(source), segments.transpose(2, 1, 0))
    tissue = hd.sr.CodedConcept(*_TISSUE)
    algorithm = hd.AlgorithmIdentificationSequence(
        name="segxfer3d", version=__version__, family=hd.sr.CodedConcept("123109", "DCM", "Artificial Intelligence")
    )
    described = [
        hd.seg.SegmentDescription(
            number, (name or str(value))[:_LONGEST], tissue, tissue,
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm,
        )
        for number, (value, name) in enumerate(classes.items(), 1)
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*unlikely to represent the intended person name")  # it is the series' own
        dataset = _segmentation(hd, images, pixels, described)
    with files.replacing(path) as file:
        dataset.save_as(file)


def _segmentation(hd: Any, images: list[pydicom.Dataset], pixels: NDArray[Any], described: list[Any]) -> Any:
    return hd.seg.Segmentation(
        source_images=images, pixel_array=pixels, segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described, series_instance_uid=hd.UID(), series_number=_SERIES_NUMBER,
        sop_instance_uid=hd.UID(), instance_number=1, manufacturer="segxfer3d", manufacturer_model_name="segxfer3d",
        software_versions=__version__, device_serial_number="0", series_description="segmentation",
        omit_empty_frames=bool(pixels.any()),
    )  # fmt: skip


def _with_sources(
    source: Path, frames: Sequence[Frame], planes: NDArray[Any]
) -> tuple[list[pydicom.Dataset], NDArray[Any]]:
    """The headers of the files, and the planes in the order of their frames."""
    paths = list(dict.fromkeys(frame.pixels.path for frame in frames))
    images: list[pydicom.Dataset] = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    for image in images:
        for name in _MAY_BE_EMPTY:
            if name not in image:
                setattr(image, name, "")
        if "FrameOfReferenceUID" not in image:
            raise InputError(
                f"{source}: no DICOM segmentation without FrameOfReferenceUID; --mask_format nii.gz has none"
            )
        measures = _measures_of(image)
        if "SliceThickness" not in measures:  # which the segmentation has to have: the distance of slices
            first, last = np.array([frames[0].position, frames[-1].position])
            measures.SliceThickness = round(float(np.linalg.norm(last - first)) / max(1, len(frames) - 1), 6)
    count = int(getattr(images[0], "NumberOfFrames", 1))
    if count == 1:
        return images, np.ascontiguousarray(planes)
    if len(images) > 1:
        raise InputError(f"{source}: no DICOM segmentation of {len(images)} files of many frames; --mask_format nii.gz")
    stored = np.zeros((count, *planes.shape[1:]), planes.dtype)  # localizers among the frames stay empty
    stored[[frame.number for frame in frames]] = planes
    return images, stored


def _measures_of(image: pydicom.Dataset) -> pydicom.Dataset:
    """Where the spacing of a file's pixels stands, if it is the same for all of its frames."""
    shared = image.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    measures = shared[0].get("PixelMeasuresSequence")
    return measures[0] if measures else image
