"""An entry of a store: a folder of arrays and what is known of them, which is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from segxfer3d import documents, files
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import ANYTHING, WHOLE, Entries, ListOf, Table

ABOUT = "about.json"
_ABOUT = Entries({"checksum": WHOLE, "files": Table(ListOf(WHOLE, 2)), "made_from": ANYTHING})
_BLOCK = 2**20  # bytes that are read at once


def about_entry(entry: Path) -> dict[str, Any] | None:
    """What is known of the entry that is a folder; None where that is missing, half written or damaged."""
    try:
        about: dict[str, Any] = documents.read(entry / ABOUT, _ABOUT)
    except InputError:  # no file, no JSON, or no such table
        return None
    checksum = about.pop("checksum")
    return about if checksum == _checksum(about) else None


def entry_problem(entry: Path, made_from: Mapping[str, Any]) -> str:
    """What is wrong with an entry; empty where its arrays are as they were written, and made from what they should be.
    It counts as used now."""
    about = about_entry(entry)
    if about is None:
        return "damaged" if entry.exists() else "missing"
    if about["made_from"] != _plain(made_from):
        return "made by another preprocessing"
    for name, (size, checksum) in about["files"].items():
        try:
            if (entry / name).stat().st_size != size or file_checksum(entry / name) != checksum:
                return "damaged"
        except OSError:
            return "damaged"
    with suppress(OSError):
        os.utime(entry / ABOUT)
    return ""


def write_entry(entry: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any], *, made_from: Any) -> None:
    """Write an entry; one that is there goes. No other process may do so at the same time.

    Raises:
        InputError: it cannot be written, as where the disk is full; nothing is left of it.
    """
    shutil.rmtree(entry, ignore_errors=True)
    files.make_folder(entry.parent)
    with files.new_folder(entry) as partial:
        written = {f"{name}.npy": _save(partial / f"{name}.npy", array) for name, array in arrays.items()}
        content = _plain({"made_from": made_from, **about, "files": written})
        files.write_text(partial / ABOUT, json.dumps({**content, "checksum": _checksum(content)}) + "\n")


def entry_array(entry: Path, name: str) -> NDArray[Any]:
    """An array of an entry, as a private map of its file: what is not looked at is not read, and processes share what
    is.

    Raises:
        InputError: it is not there any more.
    """
    path = entry / f"{name}.npy"
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="c"))
    except (OSError, ValueError, SyntaxError, TokenError) as error:  # the last two of a header
        raise InputError(f"{path}: was changed or removed while it was in use; start again ({error})") from error


def file_checksum(path: Path) -> int:
    """CRC-32 of a file's bytes.

    It finds what disks and copies do to a file: any change of up to 32 neighboring bits, and all others but one in
    2^32. isal takes a fifth of zlib's time, into a buffer that stays; a mapped file would end the process where another
    one shortens it.

    Raises:
        OSError: it cannot be read.
    """
    total = 0
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            total = isal_zlib.crc32(block[:size], total)
    return total


class _Summed:
    """A file that is written, with its size and checksum. NumPy writes to a plain one by itself, and where the disk is
    full does not say so."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0
        self.checksum = 0

    def write(self, block: bytes) -> int:
        self.size += len(block)
        self.checksum = isal_zlib.crc32(block, self.checksum)
        return self._file.write(block)


def _save(path: Path, array: NDArray[Any]) -> tuple[int, int]:
    """Write an array, and have it on the disk; bytes and checksum of its file."""
    with path.open("wb") as file:
        summed = _Summed(file)
        np.save(summed, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return summed.size, summed.checksum


def _checksum(content: Any) -> int:
    return isal_zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _plain(content: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(content))
