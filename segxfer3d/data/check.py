"""Checking cases before any work starts: every file is read once, every bad case is listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import grid_difference, read_volume
from segxfer3d.errors import InputError

_THREADS = 2  # decompression runs beside the comparisons; more would only hold more volumes in memory


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        good: cases that can be used, in the order given.
        bad: name -> what is wrong, of the others.
        empty_labels: names of good cases whose label has no foreground, which is allowed.
        shapes: name -> voxels (X, Y, Z) of the good cases.
    """

    good: tuple[Case, ...] = ()
    bad: dict[str, str] = field(default_factory=dict)
    empty_labels: list[str] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the run's folder; ``good`` as names."""
        return {
            "good": [case.name for case in self.good],
            "bad": self.bad,
            "empty_labels": self.empty_labels,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
        }


def check_cases(
    cases: Sequence[Case], classes: Iterable[int], skip_bad: bool = False, progress: bool = True
) -> CheckReport:
    """Read every image and label once.

    Bad are: files that :func:`read_volume` refuses, NaN or infinite voxels, a label on another
    grid than its image (:func:`~segxfer3d.data.io.volumes.grid_difference`), label values other than 0 and the declared
    ones. Labels stored as floats are fine where the values are.

    Args:
        cases: to check.
        classes: foreground values that a label may hold.
        skip_bad: go on with the good ones.
        progress: show a bar.

    Raises:
        InputError: bad cases, all listed with what is wrong; with ``skip_bad`` only where no good one is left.
    """
    allowed = [0, *sorted(classes)]
    with ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda case: _check(case, allowed), cases)
        found = list(tqdm(results, "checking", total=len(cases), disable=not progress, leave=False))
    report = CheckReport(tuple(case for case, result in zip(cases, found, strict=True) if not isinstance(result, str)))
    for case, result in zip(cases, found, strict=True):
        if isinstance(result, str):
            report.bad[case.name] = result
            continue
        report.shapes[case.name], empty = result
        if empty:
            report.empty_labels.append(case.name)
    if report.bad and not (skip_bad and report.good):
        hint = "" if skip_bad else "; --skip_bad_cases True goes on without them"
        listed = "\n".join(f"  {problem}" for problem in report.bad.values())
        raise InputError(f"{len(report.bad)} of {len(cases)} cases cannot be used{hint}:\n{listed}")
    return report


def _check(case: Case, allowed: Sequence[int]) -> str | tuple[tuple[int, ...], bool]:
    """What is wrong with a case; or its shape and whether it has a label without foreground."""
    try:
        image = read_volume(case.image)
        if not _finite(image.array):
            return f"{case.image}: NaN or infinite voxels"
        if case.label is None:
            return image.array.shape, False
        label = read_volume(case.label)
    except InputError as error:
        return str(error)
    if difference := grid_difference(image, label):
        return f"{case.label}: {difference}"
    if not _finite(label.array):
        return f"{case.label}: NaN or infinite voxels"
    background = label.array == 0
    known = background.copy()
    for value in allowed[1:]:
        known |= label.array == value
    if not known.all():
        strange = np.unique(label.array[~known])
        shown = ", ".join(f"{value:g}" for value in strange[:5].tolist()) + (", ..." if len(strange) > 5 else "")
        return f"{case.label}: label values {shown}; expected {', '.join(map(str, allowed))}"
    return image.array.shape, bool(background.all())


def _finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
