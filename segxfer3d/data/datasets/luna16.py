"""The official layout of LUNA16: ``subset0`` to ``subset9``, each with ``<series uid>.mhd`` and ``.raw``.

LUNA16 holds one series a patient, so the series stands for the patient.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.cases import Case, CaseSet, check_unique
from segxfer3d.data.readers import stem
from segxfer3d.errors import InputError


def folds(root: Path) -> list[tuple[int, Path]]:
    """``(number, folder)`` of every subset folder that is there."""
    return [(n, root / f"subset{n}") for n in range(10) if (root / f"subset{n}").is_dir()]


def read(root: Path) -> CaseSet:
    """All volumes of the subsets that are there, unlabeled, each with its fold.

    Raises:
        InputError: no volume in any subset.
    """
    cases = [
        Case(stem(path), path, None, stem(path), number)
        for number, folder in folds(root)
        for path in sorted(folder.glob("*.mhd"))
    ]
    if not cases:
        raise InputError(f"{root}: no *.mhd in its subset folders")
    check_unique(root, cases)
    return CaseSet(root, "luna16", tuple(sorted(cases, key=lambda c: c.name)), {}, "CT")
