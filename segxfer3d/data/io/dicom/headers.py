"""What the header of a DICOM file says of its frames, by pydicom; pixels are read later.

Modality and SOP class decide what is an image: segmentations, doses, structures, reports and localizers are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from segxfer3d.data.io.dicom.frames import Frame, frames_of, pixels_of
from segxfer3d.data.io.dicom.values import TAGS, found

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_DIRECTORY = "1.2.840.10008.1.3.10"
# parametric maps, segmentations (three kinds), doses: arrays of numbers on a grid of their own, no scans
_NO_SCANS = {_STORAGE + part for part in ("30", "66.4", "66.5", "66.7", "481.2")}
# scans, which have a place in the patient: CT, MR, PET (classic, enhanced, converted), NM, 3D ultrasound and X-ray
_SCANS = {
    _STORAGE + part
    for part in (
        "2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130", "20", "6.2", "13.1.1", "13.1.2", "13.1.3",
        "77.1.5.4",
    )
}  # fmt: skip
_NO_IMAGES = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTRECORD", "SR", "KO", "PR", "REG", "DOC", "AU", "ECG", "FID")
_PREFIXES = (b"\x08\x00", b"\x02\x00")  # of files without a preamble: the first tag, little endian


class NoImageError(Exception):
    """A file that holds no image of a volume, and why; it is passed over."""


class DamagedError(ValueError):
    """A file that says that it is an image of a volume, and ends before it says where."""


class Header(NamedTuple):
    """What a file says.

    Attributes:
        series: UID.
        part: of a series that is one volume: empty for single slices, a concatenation, or the file with many frames.
        number: of the series, as text.
        description: of the series.
        patient: its ID, may be empty.
        modality: DICOM's word, such as ``CT``, ``MR`` or ``PT``.
        frames: of the file.
        problem: why the frames cannot be used, though they belong to the series; empty where they can.
        localizers: how many frames were left out, being localizers.
    """

    series: str
    part: str
    number: str
    description: str
    patient: str
    modality: str
    frames: tuple[Frame, ...]
    problem: str
    localizers: int = 0


def looks_like_dicom(path: Path) -> bool:
    """Whether a file has the mark of the DICOM file format, or begins with a tag, as files without it do."""
    head = _head(path)
    return _marked(head) or (head[:2] in _PREFIXES and head[3:4] == b"\x00" and len(head) == 132)


def has_mark(path: Path) -> bool:
    """Whether a file has the mark of the DICOM file format (PS3.10): "DICM" after 128 bytes."""
    return _marked(_head(path))


def _marked(head: bytes) -> bool:
    return head[128:] == b"DICM"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError:
        return b""


def read_header(path: Path) -> Header:
    """Read a file up to its pixels.

    Raises:
        NoImageError: it holds no image of a volume.
        DamagedError: it ends too early.
        ValueError, OSError, and others of pydicom: it is damaged.
    """
    with path.open("rb") as file:
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=[*TAGS.values()])
        if found("MediaStorageSOPClassUID", "", dataset.file_meta) == _DIRECTORY:
            raise NoImageError("a DICOMDIR")
        modality = str(found("Modality", "", dataset))
        _refuse_others(dataset, modality)
        count = int(found("NumberOfFrames", 1, dataset))
        frames: tuple[Frame | None, ...] = ()
        problem = ""
        try:
            frames = frames_of(dataset, pixels_of(path, file, dataset), count)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            if found("SOPClassUID", "", dataset) not in _SCANS:
                raise NoImageError("an image without a place in space") from error
            problem = f"{path}: {error}"
    kept = tuple(frame for frame in frames if frame is not None)
    if not kept and not problem:
        raise NoImageError("a localizer")
    concatenation = str(found("ConcatenationUID", "", dataset))
    return Header(
        series=str(found("SeriesInstanceUID", "", dataset)),
        part=concatenation or (str(path) if count > 1 else ""),
        number=str(found("SeriesNumber", "", dataset)),
        description=str(found("SeriesDescription", "", dataset)).strip(),
        patient=str(found("PatientID", "", dataset)).strip(),
        modality=modality,
        frames=kept,
        problem=problem,
        localizers=len(frames) - len(kept),
    )


def _refuse_others(dataset: FileDataset, modality: str) -> None:
    """Refuse what is no scan in shades of gray."""
    # a file that was cut off may end in its own class, or before it, but after what follows the mark
    classes = [str(found("SOPClassUID", "", dataset)), str(found("MediaStorageSOPClassUID", "", dataset.file_meta))]
    sop_class = classes[0] or classes[1]
    if sop_class in _NO_SCANS or modality in _NO_IMAGES:
        raise NoImageError(f"of modality {modality}" if modality else UID(sop_class).name)
    if not sop_class and not modality:
        if dataset.preamble:
            raise DamagedError("it ends, or does not say what it is, after the mark of DICOM")
        raise NoImageError("not DICOM")
    if found("Rows", 0, dataset) == 0 or found("Columns", 0, dataset) == 0:
        if any(known and scan.startswith(known) for known in classes for scan in _SCANS):
            raise DamagedError(f"{modality or 'an image'} that ends before its pixels")
        raise NoImageError("DICOM without pixels")
    if int(found("SamplesPerPixel", 1, dataset)) != 1:
        raise NoImageError("a color image")
