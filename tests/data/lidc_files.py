"""Radiologists' XML files as The Cancer Imaging Archive has them, small, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATINGS = ("subtlety", "internalStructure", "calcification", "sphericity", "margin", "lobulation", "spiculation")


def ring(mask: NDArray) -> NDArray[np.int64]:
    """The first pixels outside a round mask (X, Y), in order, (N, 2); they enclose it."""
    around = np.zeros_like(mask)
    for axis in (0, 1):
        for step in (1, -1):
            around |= np.roll(mask, step, axis)
    points = np.argwhere(around & ~mask)
    x, y = (points - np.argwhere(mask).mean(0)).T
    return points[np.argsort(np.arctan2(y, x))]


def disk(shape: Sequence[int], center: Sequence[float], radius: float) -> NDArray[np.bool_]:
    """Pixels (X, Y) at most this far from the center."""
    x, y = np.indices(tuple(shape))
    return (x - center[0]) ** 2 + (y - center[1]) ** 2 <= radius**2


def box(x: Sequence[int], y: Sequence[int]) -> list[tuple[int, int]]:
    """The corners of the outline of the pixels x[0]..x[1], y[0]..y[1]."""
    left, right, low, high = x[0] - 1, x[1] + 1, y[0] - 1, y[1] + 1
    return [(left, low), (right, low), (right, high), (left, high), (left, low)]


def roi(z: float, points: Any, inclusion: str = "TRUE") -> str:
    """One outline."""
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>\n" for x, y in points)
    return (
        f"<roi><imageZposition>{z} </imageZposition><imageSOP_UID>1.3.6.1</imageSOP_UID>\n"
        f"<inclusion>{inclusion}</inclusion>\n{edges}</roi>\n"
    )


def nodule(name: str, *rois: str) -> str:
    """A nodule of at least 3 mm."""
    ratings = "".join(f"<{rating}>4</{rating}>" for rating in RATINGS)
    return (
        f"<unblindedReadNodule><noduleID>{name}</noduleID>\n<characteristics>{ratings}</characteristics>\n"
        f"{''.join(rois)}</unblindedReadNodule>\n"
    )


def small_nodule(name: str, z: float, x: int, y: int) -> str:
    """A nodule of less than 3 mm: a point, no ratings."""
    return (
        f"<unblindedReadNodule><noduleID>{name}</noduleID>\n<!-- <characteristics/> -->\n"
        f"{roi(z, [(x, y)])}</unblindedReadNodule>\n"
    )


def non_nodule(name: str, z: float, x: int, y: int) -> str:
    """A finding that is no nodule."""
    return (
        f"<nonNodule><nonNoduleID>{name}</nonNoduleID><imageZposition>{z}</imageZposition>"
        f"<imageSOP_UID>1.3.6.2</imageSOP_UID><locus><xCoord>{x}</xCoord><yCoord>{y}</yCoord></locus></nonNodule>\n"
    )


def write_reading(
    path: Path, series: str, sessions: Sequence[str], radiologists: Sequence[str] = (), uid: str = "SeriesInstanceUid"
) -> Path:
    """Write the reading of one CT; each session is the text of its findings."""
    names = radiologists or ["anonymous"] * len(sessions)
    body = "".join(
        "<readingSession><annotationVersion>3.12</annotationVersion>\n"
        f"<servicingRadiologistID>{name}</servicingRadiologistID>\n{findings}</readingSession>\n"
        for name, findings in zip(names, sessions, strict=True)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<LidcReadMessage uid="1.3.6.1.4.1.14519.5.2.1.6279.6001.1308168927505.0" xmlns="http://www.nih.gov" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n<ResponseHeader><Version>1.7</Version>\n'
        f"<TaskDescription>Second unblinded read</TaskDescription>\n<{uid}>{series}</{uid}>\n"
        f"<StudyInstanceUID>study-of-{series}</StudyInstanceUID></ResponseHeader>\n{body}</LidcReadMessage>\n"
    )
    return path


def write_radiograph_reading(path: Path, series: str) -> Path:
    """Write the reading of a chest radiograph, which lies among those of CT and may name a patient's CT."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<IdriReadMessage uid="1.3" xmlns="http://www.nih.gov/idri">\n'
        f"<ResponseHeader><CTSeriesInstanceUid>{series}</CTSeriesInstanceUid>"
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>\n"
        "<CXRreadingSession><unblindedRead/></CXRreadingSession></IdriReadMessage>\n"
    )
    return path
