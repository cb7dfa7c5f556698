"""Segmentations of 3D Slicer (``.seg.nrrd``): which segments there are, and layers of them as one label map.

Facts of the format: https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html.
Segments that do not overlap share one volume, each with a label value; those that overlap lie in several volumes, the
layers, along a first axis. A file may have layers although nothing in it overlaps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.io import itk, nrrd
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

ENDING = ".seg.nrrd"
_MARK = ".seg"
_ENTRY = re.compile(r"^Segment(\d+)_(Name|LabelValue|Layer):=(.*)$", re.MULTILINE)


class Segment(NamedTuple):
    """One structure.

    Attributes:
        name: as the user called it.
        value: in the label map that :func:`~segxfer3d.data.io.volumes.read_label` makes of the file.
        layer: number of the layer that it lies in.
        stored: its value in that layer.
    """

    name: str
    value: int
    layer: int
    stored: int


def segments_of(path: Path) -> tuple[Segment, ...]:
    """The segments that a file names, in its order; none where it is no segmentation of 3D Slicer.

    In a file with one layer the value of a segment is the one stored; in one with several, where values repeat, it is
    the number of the segment, from 1.

    Raises:
        InputError: the header is damaged, or two segments have one name.
    """
    if not path.name.lower().endswith(ENDING):
        return ()
    try:
        head = nrrd.read_header(path)
        entries: dict[int, dict[str, str]] = {}
        for number, key, value in _ENTRY.findall(head.text):
            entries.setdefault(int(number), {})[key] = value.strip().encode("latin-1").decode("utf-8", "replace")
        layers = head.shape[0] if len(head.shape) == 4 else 1
        segments = []
        for at, (number, said) in enumerate(sorted(entries.items()), 1):
            stored = int(said.get("LabelValue", 1))
            layer = int(said.get("Layer", at - 1 if layers > 1 else 0))
            name = one_form(said.get("Name", f"Segment_{number}"))
            segments.append(Segment(name, stored if layers == 1 else at, layer, stored))
    except (OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read, damaged or truncated (its header: {error})") from error
    if twice := [name for name, count in Counter(segment.name for segment in segments).items() if count > 1]:
        raise InputError(f"{path}: two segments are called {twice[0]}; expected another name for each")
    return tuple(segments)


def without_mark(name: str) -> str:
    """The name of a segmentation without the ``.seg`` that 3D Slicer puts before the ending, in large or small letters.

    Example:
        >>> without_mark("ct.SEG"), without_mark("ct")
        ('ct', 'ct')
    """
    return name[: -len(_MARK)] if name.lower().endswith(_MARK) else name


def has_layers(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer in several layers."""
    segments = segments_of(path) if path.is_file() else ()
    return bool(segments) and len(nrrd.read_header(path).shape) == 4


def read_layers(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], tuple[str, ...]]:
    """The layers of a segmentation as one label map (X, Y, Z), the affine (RAS+, millimeters), and notes.

    Raises:
        InputError: as :func:`~segxfer3d.data.io.itk.read_itk`, segments in layers that are not there, or segments that
            overlap, by name.
    """
    array, affine, notes = itk.read_itk(path, layers=True)
    segments = segments_of(path)
    array = array[..., None] if array.ndim == 3 else array
    if strange := [segment for segment in segments if not 0 <= segment.layer < array.shape[3]]:
        raise InputError(f"{path}: the segment {strange[0].name} is in a layer that the file does not have")
    label = np.zeros(array.shape[:3], np.min_scalar_type(len(segments)))
    for segment in segments:
        inside = array[..., segment.layer] == segment.stored
        _refuse_overlap(path, segment, label[inside], segments)
        label[inside] = segment.value
    return label, affine, notes


def _refuse_overlap(path: Path, segment: Segment, there: NDArray[Any], segments: Sequence[Segment]) -> None:
    if not there.any():
        return
    value, count = Counter(there[there > 0].tolist()).most_common(1)[0]
    other = next(known.name for known in segments if known.value == value)
    raise InputError(
        f"{path}: the segments {other} and {segment.name} overlap ({count} voxels); expected one label map: export it "
        "in 3D Slicer (Segmentations, Export to files)"
    )
