"""The header of an NRRD file: how large its volume is, and whether its data files are there and long enough."""

from __future__ import annotations

import math
import re
from pathlib import Path

from segxfer3d.errors import InputError

_LONGEST = 2**20  # bytes of a header
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


def check(path: Path) -> tuple[tuple[int, ...], int]:
    """Look at a header, and at its data.

    Returns:
        the volume's shape, and the bytes of a voxel.

    Raises:
        InputError: data that are missing or too short.
        ValueError, KeyError: a damaged header.
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
    item = _BYTES[fields["type"].lower()]
    held = _held(path, fields, head, begin=end.end() if end else len(content))
    encoding = fields["encoding"].lower()
    size = math.prod(shape) * item
    most = {"raw": held, "gzip": held * _DEFLATE, "gz": held * _DEFLATE, "hex": held // 2}
    most |= dict.fromkeys(("txt", "text", "ascii"), held * item)
    if most.get(encoding, size) < size:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({held} bytes of data for {size})")
    return shape, item


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
