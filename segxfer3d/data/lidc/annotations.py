"""Radiologists' outlines of lung nodules, as the XML files of LIDC-IDRI hold them.

A file is one scan, read by up to four radiologists, each in a ``readingSession``. Only nodules of at least 3 mm are
outlined and rated; smaller ones and ``nonNodule`` findings are single points and are passed over here. Radiologists
do not share nodule numbers: :mod:`segxfer3d.data.lidc.consensus` finds which outlines are of one nodule.

Source: Armato et al., *The LIDC and IDRI: a completed reference database of lung nodules on CT scans*, Medical Physics
38 (2011) 915-931; the archive "LIDC-XML-only" of The Cancer Imaging Archive.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from segxfer3d.errors import InputError

_CT_READING = "LidcReadMessage"  # radiographs, in the same archive, have IdriReadMessage


@dataclass(frozen=True)
class Outline:
    """One closed curve on one slice.

    Attributes:
        z: of the slice, in millimeters along the patient (DICOM ImagePositionPatient).
        points: (N, 2) pixel indices x (column) and y (row), from 0; these pixels are *not* part of the nodule.
        inclusion: whether the inside is nodule, or was cut out of it (a cavity, for example).
    """

    z: float
    points: NDArray[np.int64]
    inclusion: bool


@dataclass(frozen=True)
class Annotation:
    """What one radiologist marked as one nodule of at least 3 mm."""

    nodule: str
    reader: int
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Reading:
    """One scan as its radiologists read it.

    Attributes:
        path: the XML file.
        series, study: DICOM UIDs; the study's is empty where the file does not give it.
        readers: how many took part, with or without nodules.
        annotations: of all readers, who are numbered from 0.
    """

    path: Path
    series: str
    study: str
    readers: int
    annotations: tuple[Annotation, ...]


def index_readings(folder: Path) -> tuple[dict[str, list[Path]], dict[Path, str]]:
    """Map the series UID of every CT reading below a folder to its file; only the heads of the files are read.

    Other XML files, such as readings of radiographs, are passed over, and so are copies of a file.

    Returns:
        the files of each series (one, where the archive is in order), and the damaged files with the reason.
    """
    files_of: dict[str, list[Path]] = {}
    damaged: dict[Path, str] = {}
    for path in sorted(folder.rglob("*.xml")):
        try:
            series = _series_of(path)
        except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
            damaged[path] = str(error)
            continue
        if series:
            files = files_of.setdefault(series, [])
            if all(path.read_bytes() != other.read_bytes() for other in files):
                files.append(path)
    return files_of, damaged


def read_reading(path: Path) -> Reading:
    """Read the XML file of one scan.

    A session is one reader; sessions that name the same radiologist (most are anonymous) are one reader's too. A nodule
    counts as one of at least 3 mm where it has ratings (``characteristics``), as the format has it. Single points among
    the outlines of such a nodule enclose nothing and are dropped.

    Raises:
        InputError: the file is damaged, is no reading of a CT, or a nodule's entry lacks something or is no number.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: not a readable XML file ({error})") from error
    header = root.find("{*}ResponseHeader")
    series = _series_in(header) if header is not None and _local(root) == _CT_READING else ""
    if header is None or not series:
        raise InputError(f"{path}: expected a {_CT_READING} with a series UID, got {_local(root)}")
    readers: dict[str, int] = {}
    annotations = []
    for number, session in enumerate(root.findall("{*}readingSession")):
        reader = readers.setdefault(_radiologist(session) or f"session {number}", len(readers))
        for nodule in session.findall("{*}unblindedReadNodule"):
            ratings = nodule.find("{*}characteristics")
            if ratings is not None and len(ratings):
                annotations.append(_annotation(path, nodule, reader))
    study = (header.findtext("{*}StudyInstanceUID") or "").strip()
    return Reading(
        path, series, study, len(readers), tuple(annotation for annotation in annotations if annotation.outlines)
    )


def fill_outline(points: NDArray[np.int64], with_line: bool = False) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """The pixels inside an outline, by the even-odd rule, in integer arithmetic.

    The outline runs through the first pixels outside the nodule, so these, and any other whose center lies on the
    line from one to the next, are not inside. An open outline is closed.

    Args:
        points: (N, 2) pixel indices x, y.
        with_line: the pixels of the line too.

    Returns:
        x and y of the first pixel, and the mask (X, Y) from there, as large as the outline.
    """
    start = points.min(0)
    ends = points - start
    size = ends.max(0) + 1
    following = np.roll(ends, -1, axis=0)
    upward = (ends[:, 1] <= following[:, 1])[:, None]
    (x1, y1), (x2, y2) = np.where(upward, ends, following).T, np.where(upward, following, ends).T
    rows = np.arange(size[1])
    # an edge owns its lower end but not its upper one, so that a row through a corner is crossed once
    edge, row = np.nonzero((y1[:, None] <= rows) & (rows < y2[:, None]))
    rise = (y2 - y1)[edge]
    crossing = x1[edge] * rise + (row - y1[edge]) * (x2 - x1)[edge]  # x, times the rise
    column = -(-crossing // rise)  # the first pixel at or after the crossing
    crossings = np.zeros(size, np.int64)
    np.add.at(crossings, (column, row), 1)
    inside = np.cumsum(crossings, axis=0) % 2 == 1

    line = np.zeros(size, np.bool_)
    line[ends[:, 0], ends[:, 1]] = True
    hit = crossing % rise == 0
    line[column[hit], row[hit]] = True
    for level in np.nonzero(y1 == y2)[0]:
        line[min(x1[level], x2[level]) : max(x1[level], x2[level]) + 1, y1[level]] = True
    x, y = start.tolist()
    return (x, y), inside | line if with_line else inside & ~line


def _series_of(path: Path) -> str:
    """The series of a CT reading; empty for other XML files. Stops where the header ends."""
    root = None
    with path.open("rb") as file:
        for event, element in ElementTree.iterparse(file, events=("start", "end")):
            root = element if root is None else root
            if _local(root) != _CT_READING:
                return ""
            if event == "end" and _local(element) == "ResponseHeader" and (series := _series_in(element)):
                return series
    raise ValueError("no SeriesInstanceUid in its header")


def _series_in(header: Element) -> str:
    """The series UID; the files spell it with "Uid", DICOM with "UID"."""
    for element in header:
        if _local(element).lower() == "seriesinstanceuid":
            return (element.text or "").strip()
    return ""


def _local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _radiologist(session: Element) -> str:
    """Who read; empty where that was removed ("anonymous", "anon")."""
    name = (session.findtext("{*}servicingRadiologistID") or "").strip()
    return "" if name.lower().startswith(("anon", "removed")) else name


def _annotation(path: Path, nodule: Element, reader: int) -> Annotation:
    name = (nodule.findtext("{*}noduleID") or "").strip()
    try:
        outlines = [_outline(roi) for roi in nodule.findall("{*}roi")]
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: nodule {name or '(no ID)'} has a roi that cannot be read ({error})") from error
    return Annotation(name, reader, tuple(outline for outline in outlines if len(outline.points) > 1))


def _outline(roi: Element) -> Outline:
    points = [(int(_text(edge, "xCoord")), int(_text(edge, "yCoord"))) for edge in roi.findall("{*}edgeMap")]
    inclusion = _text(roi, "inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise ValueError(f"inclusion is {inclusion!r}, expected TRUE or FALSE")
    z = float(_text(roi, "imageZposition"))
    if not math.isfinite(z):
        raise ValueError("no finite z")
    return Outline(z, np.array(points, np.int64).reshape(-1, 2), inclusion == "TRUE")


def _text(element: Element, name: str) -> str:
    text = (element.findtext("{*}" + name) or "").strip()
    if not text:
        raise ValueError(f"no {name}")
    return text
