"""DICOM: the slices of a folder, or the frames of a file, as one volume, put together here from what pydicom reads.

Slices are ordered by their positions, each is rescaled by its own slope and intercept, and what is no volume is refused
instead of being made into a wrong one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.io import guard
from segxfer3d.data.io.dicom.folder import Contents, Scan, chosen, contents_of, only_scan, which_says
from segxfer3d.data.io.dicom.frames import Frame, Pixels
from segxfer3d.data.io.dicom.headers import has_mark, looks_like_dicom
from segxfer3d.data.io.dicom.pixels import fill, is_compressed, require_decoder, value_type
from segxfer3d.data.io.dicom.stacks import UNEVEN, Stack, stack
from segxfer3d.errors import InputError, some

__all__ = [
    "UNEVEN",
    "Contents",
    "Scan",
    "chosen",
    "contents_of",
    "has_mark",
    "looks_like_dicom",
    "read_dicom",
    "scan_of",
    "which_says",
]


def read_dicom(path: Path, *, uneven: str = "refuse") -> tuple[NDArray[Any], NDArray[np.float64], str]:
    """The voxels of a series (X, Y, Z), slices in the order of their positions, the affine (RAS+, mm), and a note.

    Args:
        path: of a folder with one series; or of a file, which stands for all of it if it has many frames, else for the
            series in its folder that it belongs to.
        uneven: ``refuse`` or ``resample`` slices that are missing or unevenly spaced.

    Raises:
        InputError: no series or several; slices that are missing, twice there, unevenly spaced or of several sizes; a
            damaged file; or pixels compressed in a way that nothing installed decodes.
    """
    scan = scan_of(path)
    if problems := [header.problem for header in scan.headers if header.problem]:
        raise InputError(f"{some(problems, 3)}")
    found = stack(path, [frame for header in scan.headers for frame in header.frames], uneven)
    for pixels in {frame.pixels.syntax: frame.pixels for frame in found.frames}.values():
        require_decoder(pixels)
    slices = _slices(path, found.frames)
    if found.even is not None:
        slices = _resampled(slices, found)
    return slices.transpose(2, 1, 0), found.affine, found.note


def scan_of(path: Path) -> Scan:
    """The one volume that a folder or a file stands for, see :func:`read_dicom`.

    Raises:
        InputError: none, several, or a damaged file.
    """
    folder = path if path.is_dir() else path.parent
    contents = contents_of(folder)
    if path.is_dir():
        if contents.broken:
            _refuse_broken(contents)
        return only_scan(folder, contents.scans)
    name = str(path)
    if name in contents.broken:
        raise InputError(f"{path}: cannot be read, damaged or truncated ({contents.broken[name]})")
    for scan in contents.scans:
        if any(frame.pixels.path == name for header in scan.headers for frame in header.frames):
            if contents.broken and not scan.first.part:
                _refuse_broken(contents)
            return scan
    raise InputError(f"{path}: no volume ({contents.passed.get(name, 'not DICOM')})")


def _refuse_broken(contents: Contents) -> None:
    listed = some([f"{file} ({why})" for file, why in contents.broken.items()], 3)
    raise InputError(f"cannot be read, damaged or truncated: {listed}")


def _slices(path: Path, frames: tuple[Frame, ...]) -> NDArray[Any]:
    """(Z, rows, columns); what a library in C has to decode is decoded by a process of its own."""
    shape, dtype = (len(frames), *frames[0].shape), value_type(frames)
    guard.require_memory(path, shape, dtype)
    if is_compressed(frames):
        array, _ = guard.call(f"{__name__}:decode", path, size=guard.size_of(shape, dtype), frames=frames)
        return array
    slices = guard.empty(shape, dtype)
    fill(slices, frames)
    return slices


def decode(allocate: guard.Allocate, frames: list[Any]) -> dict[str, Any]:
    """What the worker process does: frames as JSON knows them, decoded into shared memory."""
    known = tuple(Frame(Pixels(*frame[0]), frame[1], tuple(frame[2]), *frame[3:]) for frame in frames)
    fill(allocate((len(known), *known[0].shape), value_type(known)), known)
    return {}


def _resampled(slices: NDArray[Any], found: Stack) -> NDArray[Any]:
    """Slices at even distances, linear between their two neighbors."""
    assert found.even is not None
    result = np.empty((len(found.even), *slices.shape[1:]), slices.dtype)
    for index, place in enumerate(found.even):
        low = min(int(place), len(slices) - 2)
        share = np.float32(place - low)
        mixed = slices[low] * (1 - share) + slices[low + 1] * share
        result[index] = np.rint(mixed) if slices.dtype.kind in "iu" else mixed
    return result
