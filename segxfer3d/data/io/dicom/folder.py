"""Which DICOM volumes lie in a folder, by the headers of its files, whatever they are called."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from segxfer3d.data.io import cause
from segxfer3d.data.io.dicom.headers import (
    DamagedError,
    Header,
    NoImageError,
    has_mark,
    looks_like_dicom,
    read_header,
)
from segxfer3d.errors import InputError, some

# endings of what is certainly no DICOM file, so that it is not opened
OTHERS = (
    ".nii", ".gz", ".mhd", ".mha", ".nrrd", ".nhdr", ".raw", ".zraw", ".mgz", ".mgh", ".hdr", ".png", ".jpg", ".jpeg",
    ".tif", ".tiff", ".bmp", ".gif", ".json", ".txt", ".csv", ".tsv", ".xml", ".md", ".pdf", ".html", ".py", ".zip",
    ".tar", ".bval", ".bvec", ".mat", ".npy", ".npz", ".pt", ".xlsx", ".docx", ".stl", ".vtk", ".log",
)  # fmt: skip


# how slices are called: by an ending of DICOM, a UID, or a number
_SLICE = re.compile(r".*\.(dcm|dicom|dic|ima)|(im|img|i)?[-_.\d]*\d", re.IGNORECASE)


@dataclass(frozen=True)
class Scan:
    """One volume of a folder: the files of a series, or one file with many frames.

    Attributes:
        headers: of its files, in the order of their names.
    """

    headers: tuple[Header, ...]

    @property
    def files(self) -> int:
        """How many it has."""
        return len(self.headers)

    @property
    def slices(self) -> int:
        """How many slices it has."""
        return sum(len(header.frames) for header in self.headers)

    @property
    def first(self) -> Header:
        """The header that stands for all."""
        return self.headers[0]

    @property
    def path(self) -> Path:
        """One of its files, by which it can be told from others of its folder."""
        return Path(next(header.frames[0].pixels.path for header in self.headers if header.frames))

    def text(self) -> str:
        """In words, as a choice."""
        header = self.first
        about = [f"number {header.number}"] * bool(header.number) + [repr(header.description)] * bool(
            header.description
        )
        if header.part and header.frames:
            about.append(f"file {self.path.name}")
        return f"{header.series} ({', '.join([*about, header.modality, f'{self.slices} slices'])})"


@dataclass(frozen=True)
class Contents:
    """What a folder holds of DICOM.

    Attributes:
        scans: the volumes, by series and part.
        passed: files that are no image of a volume -> why.
        broken: files that look like DICOM, or beside DICOM are called as slices are, and cannot be read -> why.
    """

    scans: tuple[Scan, ...] = ()
    passed: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


def contents_of(folder: Path) -> Contents:
    """Look at every file of a folder (not of its subfolders); what was seen is kept until a file changes."""
    try:
        entries = sorted(
            (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
            for entry in os.scandir(folder)
            if entry.is_file() and not entry.name.startswith(".") and not entry.name.lower().endswith(OTHERS)
        )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({cause(error)})") from error
    return _contents(str(folder), tuple(entries))


@lru_cache(maxsize=256)
def _contents(folder: str, entries: tuple[tuple[str, int, int], ...]) -> Contents:
    grouped: dict[tuple[str, str], list[Header]] = {}
    passed: dict[str, str] = {}
    broken: dict[str, str] = {}
    no_slices: dict[str, str] = {}
    for name, _, size in entries:
        path = Path(folder) / name
        if not looks_like_dicom(path):
            passed[str(path)] = "not DICOM"
            if _SLICE.fullmatch(name):
                no_slices[str(path)] = "not DICOM" if size else "empty"
            continue
        try:
            header = read_header(path)
        except NoImageError as why:
            passed[str(path)] = str(why)
            continue
        except Exception as error:  # pydicom has many; a damaged header of any kind must not end the others
            damaged = has_mark(path) or isinstance(error, DamagedError)
            (broken if damaged else passed)[str(path)] = cause(error) if damaged else "not DICOM"
            continue
        if header.localizers:
            passed[str(path)] = f"{header.localizers} localizers in it"
        grouped.setdefault((header.series, header.part), []).append(header)
    if grouped or broken:  # one of a row of slices that a copy has cut to nothing, or a web page in its place
        broken |= no_slices
        passed = {file: why for file, why in passed.items() if file not in no_slices}
    scans = [Scan(tuple(headers)) for headers in grouped.values()]
    for scan in [scan for scan in scans if _is_single(scan) and len(scans) > 1]:
        scans.remove(scan)  # a secondary capture, a localizer that does not say so: it is no volume
        passed[str(scan.path)] = "a single slice"
    return Contents(tuple(scans), passed, broken)


def _is_single(scan: Scan) -> bool:
    return scan.slices == 1 and not any(header.problem for header in scan.headers)


def chosen(scans: Iterable[Scan], series: str) -> list[Scan]:
    """The scans that a choice fits: the UID or the number of the series, its description, or a part of that.

    Args:
        scans: of a folder.
        series: the choice, in any case.
    """
    scans, wanted = list(scans), series.strip().lower()
    for fits in (
        [scan for scan in scans if wanted in (scan.first.series, scan.first.number)],
        [scan for scan in scans if scan.first.description.lower() == wanted],
        [scan for scan in scans if wanted in scan.first.description.lower()],
    ):
        if fits:
            return fits
    return []


def which_says(scans: Iterable[Scan]) -> str:
    """What settles which of several scans is meant."""
    scans = list(scans)
    if len({scan.first.series for scan in scans}) < len(scans):  # such as a file for each phase
        return "some have one UID, so that no --series tells them apart: put the one that is meant into its own folder"
    return "--series with a UID, a number or a description says which"


def only_scan(folder: Path, scans: Iterable[Scan]) -> Scan:
    """The one scan of a folder.

    Raises:
        InputError: none, or several, which are named with what chooses one.
    """
    scans = list(scans)
    if not scans:
        raise InputError(f"{folder}: no DICOM series in this folder that is a volume")
    if len(scans) > 1:
        listed = some([scan.text() for scan in scans], 10, ", ")
        raise InputError(
            f"{folder}: {len(scans)} DICOM series in one folder, expected one: {listed}; {which_says(scans)}"
        )
    return scans[0]
