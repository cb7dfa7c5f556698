"""Checking cases before any work starts: every file is read once, every bad case is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.data.cases import Case
from segxfer3d.data.readers import read_volume
from segxfer3d.errors import InputError

AFFINE_TOLERANCE = 1e-3  # of a voxel's size, and millimeters of the origin
LISTED = 10


@dataclass
class CheckReport:
    """What a check found; ``bad`` is a case's name to what is wrong with it."""

    good: tuple[Case, ...] = ()
    bad: dict[str, str] = field(default_factory=dict)
    empty_labels: list[str] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run's folder."""
        return {**asdict(self), "good": [case.name for case in self.good]}


def check_cases(
    cases: Sequence[Case], classes: Mapping[int, str], skip_bad: bool = False, progress: bool = True
) -> CheckReport:
    """Read every image and label once.

    Args:
        cases: to check.
        classes: foreground values that a label may hold.
        skip_bad: go on with the good ones.
        progress: show a bar.

    Raises:
        InputError: bad cases (all listed, with what is wrong), or none left.
    """
    report = CheckReport()
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda case: _check(case, classes), cases)
        found = list(tqdm(results, "checking", total=len(cases), disable=not progress, leave=False))
    good = []
    for case, (problem, shape, empty) in zip(cases, found, strict=True):
        if problem:
            report.bad[case.name] = problem
            continue
        good.append(case)
        report.shapes[case.name] = shape
        if empty:
            report.empty_labels.append(case.name)
    report.good = tuple(good)
    if report.bad and not (skip_bad and good):
        listed = [f"  {problem}" for problem in list(report.bad.values())[:LISTED]]
        if len(report.bad) > LISTED:
            listed.append(f"  and {len(report.bad) - LISTED} more")
        hint = "" if skip_bad else "; --skip_bad_cases True goes on without them"
        raise InputError(f"{len(report.bad)} of {len(cases)} cases cannot be used{hint}:\n" + "\n".join(listed))
    return report


def _check(case: Case, classes: Mapping[int, str]) -> tuple[str, tuple[int, ...], bool]:
    """What is wrong with a case (or nothing), its shape, whether its label is empty."""
    try:
        image = read_volume(case.image)
        if not _finite(image.array):
            return f"{case.image}: NaN or infinite voxels", (), False
        if case.label is None:
            return "", image.array.shape, False
        label = read_volume(case.label)
    except InputError as error:
        return str(error), (), False
    if label.array.shape != image.array.shape:
        return f"{case.label}: shape {label.array.shape}, its image {image.array.shape}", (), False
    if not np.allclose(label.affine, image.affine, rtol=AFFINE_TOLERANCE, atol=AFFINE_TOLERANCE):
        return f"{case.label}: its affine differs from its image's {case.image.name}", (), False
    if not _finite(label.array):
        return f"{case.label}: NaN or infinite voxels", (), False
    values = np.unique(label.array)
    strange = [f"{value:g}" for value in values.tolist() if value != 0 and value not in classes]
    if strange:
        expected = ", ".join(str(value) for value in (0, *classes))
        return f"{case.label}: label values {', '.join(strange[:5])}, expected {expected}", (), False
    return "", image.array.shape, bool((values == 0).all())


def _finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iub" or bool(np.isfinite(array).all())
