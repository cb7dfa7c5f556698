"""The header of an NRRD file: how large its volume is, and whether its data files are there and long enough."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from segxfer3d.data.io.about import About
from segxfer3d.errors import InputError, some

_LONGEST = 2**20  # bytes of a header
_UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
_UNITS |= {"millimeter": 1.0, "millimeters": 1.0, "meter": 1000.0, "micron": 0.001, "microns": 0.001}
_NO_UNIT = {"", "???", "none"}
_NO_SIDES = {"", "scanner-xyz", "scanner-xyz-time", "3d-right-handed", "3d-right-handed-time"}
_DEFLATE = 1032  # bytes that one byte of gzip can stand for, at most
_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), 8),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), 8),
    "float": 4,
    "double": 8,
}


class Header(NamedTuple):
    """The header of a file.

    Attributes:
        text: all of it.
        fields: field to value.
        shape: the sizes of all axes.
        begin: the byte after it.
    """

    text: str
    fields: dict[str, str]
    shape: tuple[int, ...]
    begin: int


def read_header(path: Path) -> Header:
    """Read what is said before the data.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, or is damaged.
    """
    with path.open("rb") as file:
        content = file.read(_LONGEST)
    if not content.startswith(b"NRRD"):
        raise ValueError("it does not begin with NRRD")
    end = re.search(rb"\r?\n\r?\n", content)
    head = content[: end.start() if end else len(content)].decode("latin-1")
    fields = {}
    for line in head.splitlines()[1:]:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[key.strip().lower()] = value.strip()
    shape = tuple(int(length) for length in fields["sizes"].split())
    if not shape or min(shape) < 1:
        raise ValueError(f"sizes {fields['sizes']}")
    return Header(head, fields, shape, end.end() if end else len(content))


def check(path: Path, *, layers: bool = False) -> About:
    """Look at a header, and at its data.

    Args:
        path: of the file.
        layers: take a segmentation in layers, too.

    Raises:
        InputError: data that are missing or too short, a voxel size of 0, a unit that is none of length, a space that
            is a mirror image, or a segmentation in layers.
        ValueError, KeyError: a damaged header.
    """
    head, fields, shape, begin = read_header(path)
    item = _BYTES[fields["type"].lower()]
    held = _held(path, fields, head, begin=begin)
    encoding = fields["encoding"].lower()
    size = math.prod(shape) * item
    most = {"raw": held, "gzip": held * _DEFLATE, "gz": held * _DEFLATE, "hex": held // 2}
    most |= dict.fromkeys(("txt", "text", "ascii"), held * item)
    if most.get(encoding, size) < size:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({held} bytes of data for {size})")
    if not layers:
        _refuse_layers(path, head, shape)
    return About(shape, item, *_place(path, fields))


def _place(path: Path, fields: dict[str, str]) -> tuple[float, tuple[str, ...]]:
    """Millimeters of the unit of length, which ITK passes over, and what a user should hear of it and of the space."""
    directions = fields.get("space directions", "")
    sizes = re.findall(r"\(([^)]*)\)", directions) or fields.get("spacings", "").split()
    if any(all(float(number) == 0 for number in size.split(",")) for size in sizes):
        raise InputError(f"{path}: no usable geometry, a voxel size of 0 ({directions or fields['spacings']})")
    named = fields.get("space units" if directions else "units", "").replace("\u00c2\u00b5", "u").replace("\u00b5", "u")
    units = {unit.lower() for unit in re.findall(r'"([^"]*)"', named)} - _NO_UNIT
    if len(units) > 1 or units - _UNITS.keys():
        raise InputError(f"{path}: its units are {named}; expected one of {', '.join(_UNITS)}")
    factor = _UNITS[units.pop()] if units else 1.0
    notes: tuple[str, ...] = (f"its unit is {factor:g} mm, which became millimeters",) if factor != 1 else ()
    space = fields.get("space", "").lower()
    if "left-handed" in space:
        raise InputError(f"{path}: its space is {space}, a mirror image; expected left-posterior-superior or the like")
    if space in _NO_SIDES:
        said = f"its space is {space}" if space else "it names no space"
        notes += (f"{said}, so that nothing says which side is left; taken as ITK does (left-posterior-superior)",)
    return factor, notes


def _refuse_layers(path: Path, head: str, shape: tuple[int, ...]) -> None:
    """3D Slicer keeps segments that overlap in layers, along a first axis: no image, and a label only where they do
    not overlap, see :mod:`~segxfer3d.data.io.segments`."""
    names = re.findall(r"^Segment\d+_Name:=(.*)$", head, re.MULTILINE)
    if names and len(shape) == 4 and shape[0] > 1:
        raise InputError(
            f"{path}: a segmentation of 3D Slicer in {shape[0]} layers, for segments overlap ({some(names, 5, ', ')}); "
            "expected one label map: export it there (Segmentations, Export to files)"
        )


def _held(path: Path, fields: dict[str, str], head: str, *, begin: int) -> int:
    """Bytes of data, in the file itself or beside it."""
    name = fields.get("data file", fields.get("datafile", ""))
    if not name:
        return path.stat().st_size - begin
    files = [name]
    if name.upper().startswith("LIST"):
        lines = head.splitlines()
        start = next(i for i, line in enumerate(lines) if line.lower().replace(" ", "").startswith("datafile:"))
        files = [line.strip() for line in lines[start + 1 :] if line.strip()]
    elif "%" in name:
        pattern, first, last, step, *_ = (*name.split(), "1", "1", "1")
        files = [pattern % number for number in range(int(first), int(last) + 1, max(1, int(step)))]
    for file in files:
        if not (path.parent / file).is_file():
            raise InputError(f"{path}: its data file {file} is missing")
    return sum((path.parent / file).stat().st_size for file in files)
