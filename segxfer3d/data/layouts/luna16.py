"""The official layout of LUNA16: ``subset0`` to ``subset9``, each with ``<series uid>.mhd`` and ``.raw``, no labels.

The subsets are the folds. LUNA16 holds one series a patient, so the series stands for the patient.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.data.layouts.request import Request
from segxfer3d.errors import InputError

TITLE = "LUNA16"
SOURCE = "subset0.zip to subset9.zip, or some of them, of https://luna16.grand-challenge.org"
DIMS = (3,)


def folds(root: Path) -> dict[int, Path]:
    """The subset folders that are there, by their number."""
    folders = {number: root / f"subset{number}" for number in range(10)}
    return {number: folder for number, folder in folders.items() if folder.is_dir()}


def fits(root: Path) -> bool:
    """Whether there is a subset folder."""
    return bool(folds(root))


def read(root: Path, request: Request) -> CaseSet:
    """All volumes of the subsets that are there, unlabeled, each with its fold.

    Raises:
        InputError: no subset, a series in two of them, or ``patient_pattern`` does not fit.
    """
    if not fits(root):
        raise InputError(f"{root}: not the layout of {TITLE}: no subset0 to subset9; unpack {SOURCE} there")
    cases: dict[str, Case] = {}
    for number, folder in folds(root).items():
        for name, path in volumes_below(folder).items():
            if name in cases:
                raise InputError(f"{root}: one series in two subsets: {cases[name].image} and {path}")
            cases[name] = Case(name, path, patient=patient_of(name, request.patient_pattern), fold=number)
    return CaseSet(root, "luna16", 3, tuple(cases.values()), modality="CT")
