"""Data sets on disk: one file per layout, and :func:`find_cases`, which picks the layout."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from segxfer3d.data.case import CaseSet
from segxfer3d.data.layouts import decathlon, folder, luna16
from segxfer3d.errors import InputError, some

__all__ = ["LAYOUTS", "find_cases"]

# name -> whether a folder has the layout, and its reader; the first that fits reads
LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, str], CaseSet]]] = {
    "decathlon": (decathlon.fits, decathlon.read),
    "luna16": (luna16.fits, luna16.read),
    "folder": (folder.fits, folder.read),
}


def find_cases(dataset_dir: str | os.PathLike[str], patient_pattern: str = "") -> CaseSet:
    """Find the cases of a data set; no volume is opened.

    The first of :data:`LAYOUTS` that fits reads: a folder with ``dataset.json`` is
    :mod:`~segxfer3d.data.layouts.decathlon`, one with ``subset0`` to ``subset9``
    :mod:`~segxfer3d.data.layouts.luna16`, any other :mod:`~segxfer3d.data.layouts.folder`.

    Args:
        dataset_dir: the data set's folder.
        patient_pattern: finds the patient in a case's name, see :func:`~segxfer3d.data.case.patient_of`; not used
            where ``dataset.json`` names the patient.

    Returns:
        the cases, sorted by name.

    Raises:
        InputError: the folder is missing or has no volumes, images and labels do not fit each other, two cases have
            one name, or a name does not fit the pattern.
    """
    root = Path(dataset_dir).expanduser()
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: {'not a folder' if root.exists() else 'no such folder'}")
    read = next(read for fits, read in LAYOUTS.values() if fits(root))
    found = read(root, patient_pattern)
    if not found.cases:
        raise InputError(f"dataset_dir {root}: no volumes in it (looked for the layout {found.layout!r})")
    twice = [name for name, count in Counter(case.name for case in found.cases).items() if count > 1]
    if twice:
        raise InputError(f"dataset_dir {root}: several cases of one name: {some(sorted(twice))}")
    return replace(found, cases=tuple(sorted(found.cases, key=lambda case: case.name)))
