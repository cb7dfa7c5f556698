"""The header of a MetaImage: how large its volume is, and whether its data files are there and long enough."""

from __future__ import annotations

import math
from pathlib import Path

from segxfer3d.data.io.about import About
from segxfer3d.errors import InputError

ENDINGS = (".mhd", ".mha")
_LONGEST = 2**20  # bytes of a header
_DEFLATE = 1032  # bytes that one byte of zlib's compression can stand for, at most
_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 8, "ULONG": 8, "LONG_LONG": 8,
    "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


def check(path: Path) -> About:
    """Look at a header, and at its data.

    Raises:
        InputError: data that are missing or too short, or a voxel size of 0.
        ValueError, KeyError: a damaged header.
    """
    with path.open("rb") as file:
        content = file.read(_LONGEST)
    header, begin, listed = _fields(content)
    shape = tuple(int(length) for length in header["DimSize"].split())
    if not shape or min(shape) < 1:
        raise ValueError(f"DimSize {header['DimSize']}")
    if int(header.get("NDims", len(shape))) != len(shape):
        raise ValueError(f"NDims {header['NDims']}, and {len(shape)} sizes")
    sizes = header.get("ElementSpacing", header.get("ElementSize", "1"))
    if not all(float(size) for size in sizes.split()):
        raise InputError(f"{path}: no usable geometry, a voxel size of 0 ({sizes} mm)")
    channels = int(header.get("ElementNumberOfChannels", "1"))
    item = _BYTES[header["ElementType"].upper().removeprefix("MET_").removesuffix("_ARRAY")] * channels
    size = math.prod(shape) * item
    name = header["ElementDataFile"]
    if name.upper() == "LOCAL":
        _refuse_short(path, path, path.stat().st_size - begin, size=size, header=header)
    elif name.upper().split()[0] == "LIST" or "%" in name:
        files = listed if "%" not in name else _numbered(name)
        if missing := [file for file in files if not (path.parent / file).is_file()]:
            raise InputError(f"{path}: its data file {missing[0]} is missing")
        held = sum((path.parent / file).stat().st_size for file in files)
        _refuse_short(path, path, held, size=size, header=header)
    else:
        data = path.parent / name
        if not data.is_file():
            raise InputError(f"{path}: its data file {name} is missing")
        skipped = max(0, int(header.get("HeaderSize", "0")))
        _refuse_short(path, data, data.stat().st_size - skipped, size=size, header=header)
    return About(shape, item)


def _fields(content: bytes) -> tuple[dict[str, str], int, list[str]]:
    """Key to value, where data in the same file begin, and the lines after the header."""
    header: dict[str, str] = {}
    place = 0
    while place < len(content):
        end = content.find(b"\n", place)
        end = len(content) if end < 0 else end
        key, equals, value = content[place:end].decode("latin-1").lstrip("\ufeff").partition("=")
        place = end + 1
        if equals:
            header[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    if "ElementDataFile" not in header:
        raise ValueError("no ElementDataFile in its header")
    listed = []
    if header["ElementDataFile"].upper() != "LOCAL":
        listed = [line.strip() for line in content[place:].decode("latin-1").splitlines() if line.strip()]
    return header, place, listed


def _numbered(name: str) -> list[str]:
    """The names of a pattern, its first and last number and the step: ``slice%03d.raw 1 60 1``."""
    pattern, *numbers = name.split()
    first, last, step = (int(number) for number in (*numbers, "1")[:3])
    return [pattern % number for number in range(first, last + 1, max(1, step))]


def _refuse_short(path: Path, data: Path, held: int, *, size: int, header: dict[str, str]) -> None:
    if header.get("CompressedData", "False").lower() == "true":
        short = held * _DEFLATE < size
    elif header.get("BinaryData", "True").lower() == "false":  # numbers as text, each followed by a space
        short = held * 8 < size
    else:
        short = held < size
    if short and data != path:
        raise InputError(f"{path}: its data file {data.name} is truncated ({held} of {size} bytes)")
    if short:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({held} of {size} bytes)")
