"""The frames of a DICOM file: each one's place, scale, and how its pixels are stored."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from segxfer3d.data.io.dicom.values import EMPTY, TAGS, TIMES, first, found, listed, numbers_of

_LOCALIZERS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}
_PIXELS = Tag(0x7FE0, 0x0010)


class Pixels(NamedTuple):
    """How the pixels of a file are stored.

    Attributes:
        path: of the file.
        syntax: UID of the transfer syntax.
        offset: where they begin, in bytes; -1 where they are compressed or cannot be read in place.
        allocated: bits of a pixel in the file.
        stored: bits of them that count.
        high: number of the highest of those.
        signed: whether they are.
    """

    path: str
    syntax: str
    offset: int
    allocated: int
    stored: int
    high: int
    signed: bool


class Frame(NamedTuple):
    """One slice.

    Attributes:
        pixels: of its file.
        number: of the frame in the file, from 0.
        shape: rows and columns.
        position: of the center of its first pixel (LPS, mm).
        orientation: directions of a row and of a column (LPS).
        spacing: from row to row and from column to column, mm.
        slope: that stored values are multiplied by.
        intercept: that is added then.
        times: what tells volumes at the same positions apart, as text by name.
    """

    pixels: Pixels
    number: int
    shape: tuple[int, int]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    slope: float
    intercept: float
    times: dict[str, str]


def pixels_of(path: Path, file: Any, dataset: Dataset) -> Pixels:
    """How the pixels are stored; ``file`` stands before them, where pydicom stopped.

    Raises:
        ValueError: the header contradicts itself.
    """
    syntax = str(found("TransferSyntaxUID", "", dataset.file_meta)) or _guessed_syntax(dataset)
    return Pixels(str(path), syntax, _offset(file, syntax), *_bits(dataset))


def frames_of(dataset: Dataset, pixels: Pixels, count: int) -> tuple[Frame | None, ...]:
    """Every frame; None for a localizer."""
    shape = (int(found("Rows", 0, dataset)), int(found("Columns", 0, dataset)))
    if "ModalityLUTSequence" in dataset:
        raise ValueError("a modality LUT instead of slope and intercept, which is not read")
    _refuse_impossible(pixels, shape, count)
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    each = list(found("PerFrameFunctionalGroupsSequence", [], dataset))
    if count > 1 and each and len(each) != count:
        raise ValueError(f"{count} frames, of which {len(each)} are described")
    frames: list[Frame | None] = []
    for number in range(count):
        group = each[number] if each else EMPTY
        kind = {str(word).upper() for word in _kind(dataset, shared, group)}
        if kind & _LOCALIZERS:
            frames.append(None)
            continue
        places = [first(part, "PlanePositionSequence") for part in (group, shared)]
        turns = [first(part, "PlaneOrientationSequence") for part in (group, shared)]
        measures = [first(part, "PixelMeasuresSequence") for part in (group, shared)]
        values = [first(part, "PixelValueTransformationSequence") for part in (group, shared)]
        position = numbers_of("ImagePositionPatient", 3, *places, dataset)
        orientation = numbers_of("ImageOrientationPatient", 6, *turns, dataset)
        spacing = numbers_of("PixelSpacing", 2, *measures, dataset)
        if min(spacing) <= 0:
            raise ValueError(f"PixelSpacing {list(spacing)}, expected millimeters above 0")
        if count > 1 and not any(len(part) for part in places):
            position = _stepped(dataset, position, orientation, number)
        slope, intercept = (
            float(found(name, default, *values, dataset))
            for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
        )
        if slope == 0 or not abs(slope) + abs(intercept) < math.inf:  # NaN fails too
            raise ValueError(f"RescaleSlope {slope:g} and RescaleIntercept {intercept:g}, which leave no values")
        times = _times(dataset, group)
        frames.append(Frame(pixels, number, shape, position, orientation, spacing, slope, intercept, times))
    return tuple(frames)


def _refuse_impossible(pixels: Pixels, shape: tuple[int, int], count: int) -> None:
    """More frames than a file of this size can hold; each compressed one takes a few bytes at least."""
    held = Path(pixels.path).stat().st_size
    least = shape[0] * shape[1] * pixels.allocated // 8 if pixels.offset >= 0 else 8
    if pixels.syntax == DeflatedExplicitVRLittleEndian:
        least, held = shape[0] * shape[1] * pixels.allocated // 8, held * 1032
    if count < 1 or (count > 1 and count * least > held):
        raise ValueError(f"{count} frames of {shape[0]}x{shape[1]} pixels are claimed, in {held} bytes")


def _stepped(dataset: Dataset, position: tuple[float, ...], turn: tuple[float, ...], number: int) -> tuple[float, ...]:
    """The position of a frame of a file that has one position only and the distance of its slices, as ITK writes."""
    step = float(found("SpacingBetweenSlices", 0, dataset))
    if step <= 0:
        raise ValueError("many frames without positions of their own")
    row, column = turn[:3], turn[3:]
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    return tuple(p + number * step * n for p, n in zip(position, normal, strict=True))


def _kind(dataset: Dataset, shared: Dataset, group: Dataset) -> list[Any]:
    """The words of ImageType and of FrameType, which may differ from frame to frame."""
    words = listed(found("ImageType", [], dataset))
    for part in (shared, group):
        for name in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"):
            words += listed(found("FrameType", [], first(part, name)))
    return words


def _times(dataset: Dataset, group: Dataset) -> dict[str, str]:
    times = {name: str(found(name, "", dataset)) for name in TIMES if TAGS[name] in dataset}
    content = first(group, "FrameContentSequence")
    for name in ("StackID", "TemporalPositionIndex", "FrameAcquisitionNumber"):
        if name in content:
            times[name] = str(content[name].value)
    echo = first(group, "MREchoSequence")
    if "EffectiveEchoTime" in echo:
        times["EffectiveEchoTime"] = str(echo.EffectiveEchoTime)
    diffusion = first(group, "MRDiffusionSequence")
    if "DiffusionBValue" in diffusion:
        times["DiffusionBValue"] = str(diffusion.DiffusionBValue)
    return times


def _guessed_syntax(dataset: Dataset) -> str:
    """That of a file without a meta header, from how pydicom could read it."""
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


@lru_cache(maxsize=64)
def _readable_in_place(syntax: str) -> tuple[bool, bool, bool]:
    """Whether pixels are stored as they are; whether little endian; whether VRs are left out."""
    uid = UID(syntax)
    if uid.is_private or not uid.is_transfer_syntax:
        return False, True, False
    as_they_are = not uid.is_compressed and uid != DeflatedExplicitVRLittleEndian
    return as_they_are, uid.is_little_endian, uid.is_implicit_VR


def _offset(file: Any, syntax: str) -> int:
    """Where uncompressed pixels begin; pydicom stops before their tag."""
    in_place, little, implicit = _readable_in_place(syntax)
    if not in_place:
        return -1
    start: int = file.tell()
    order: Any = "little" if little else "big"
    head = file.read(4)
    if (int.from_bytes(head[:2], order), int.from_bytes(head[2:], order)) != (_PIXELS.group, _PIXELS.element):
        return -1
    return start + (8 if implicit else 12)


def _bits(dataset: Dataset) -> tuple[int, int, int, bool]:
    allocated = int(found("BitsAllocated", 16, dataset))
    stored = int(found("BitsStored", allocated, dataset))
    high = int(found("HighBit", stored - 1, dataset))
    if not 0 < stored <= high + 1 <= allocated:
        raise ValueError(f"{stored} bits up to bit {high} of {allocated}")
    return allocated, stored, high, bool(found("PixelRepresentation", 0, dataset))
