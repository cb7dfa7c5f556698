"""The values of a DICOM header's elements; those that files share are converted once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

# What tells volumes at the same positions apart, see segxfer3d.data.io.dicom.stacks
TIMES = (
    "AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime", "EchoNumbers", "DiffusionBValue", "TriggerTime",
    "ContentTime", "AcquisitionTime", "ImageType",
)  # fmt: skip
_NAMES = (
    "SOPClassUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "PatientID", "Modality", "ImageType",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence", "SpacingBetweenSlices", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ConcatenationUID", "SpecificCharacterSet", *TIMES,
)  # fmt: skip
TAGS = {name: Tag(name) for name in _NAMES}
EMPTY = Dataset()


def first(dataset: Dataset, name: str) -> Dataset:
    """The first item of a sequence; an empty one where there is none."""
    if not len(dataset):
        return EMPTY
    items = dataset.get(name, None)
    return items[0] if items else EMPTY


def found(name: str, default: Any, *places: Dataset) -> Any:
    """The value of the first place that has one."""
    tag = TAGS.get(name) or Tag(name)
    for place in places:
        if not len(place):
            continue
        element = place.get_item(tag)
        if element is None:
            continue
        if isinstance(element, RawDataElement) and isinstance(element.value, bytes) and element.VR != "SQ":
            charset = getattr(place, "_character_set", None)
            value = _converted(tag, element.VR, element.value, element.is_little_endian, _hashable(charset))
        else:
            value = place[tag].value
        if value is not None and value != "":
            return value
    return default


def _hashable(charset: Any) -> Any:
    return tuple(charset) if isinstance(charset, list) else charset


@lru_cache(maxsize=4096)
def _converted(tag: BaseTag, vr: str | None, content: bytes, little: bool, charset: Any) -> Any:
    """What bytes mean; slices of a series share most of them."""
    raw = RawDataElement(tag, vr, len(content), content, 0, vr is None, little, True)
    return convert_raw_data_element(raw, encoding=list(charset) if isinstance(charset, tuple) else charset).value


def numbers_of(name: str, count: int, *places: Dataset) -> tuple[float, ...]:
    values = found(name, None, *places)
    if values is None or isinstance(values, (int, float)) or len(values) != count:
        raise ValueError(f"no {name}" if values is None else f"{name} is {values}, expected {count} numbers")
    try:
        numbers = tuple(float(value) for value in values)
    except ValueError:
        numbers = (float("nan"),)
    if not all(abs(number) < 1e9 for number in numbers):  # NaN fails too
        raise ValueError(f"{name} is {values}, expected {count} numbers")
    return numbers


def listed(value: Any) -> list[Any]:
    """One value as a list of it."""
    return [value] if isinstance(value, str) else list(value)
