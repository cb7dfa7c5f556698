"""Cases: what there is to learn from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from segxfer3d.errors import InputError

_LIDC_PATIENT = re.compile(r"LIDC-IDRI-\d{4}")


@dataclass(frozen=True)
class Case:
    """One volume, with its label where there is one.

    Attributes:
        name: unique in its data set.
        image: the file, or a folder with one DICOM series.
        label: the file, or None.
        patient: whose it is; cases of one patient are never split.
        fold: subset of LUNA16, where the data set has folds.
    """

    name: str
    image: Path
    label: Path | None = None
    patient: str = ""
    fold: int | None = None


@dataclass(frozen=True)
class CaseSet:
    """The cases of a data set.

    Attributes:
        root: its folder.
        layout: ``decathlon``, ``luna16`` or ``folder``.
        cases: all of them, sorted by name.
        classes: foreground label value to name.
        modality: ``CT``, ``MR`` or ``unknown``.
    """

    root: Path
    layout: str
    cases: tuple[Case, ...]
    classes: dict[int, str]
    modality: str

    @property
    def labeled(self) -> tuple[Case, ...]:
        """The cases with a label."""
        return tuple(case for case in self.cases if case.label is not None)

    @property
    def unlabeled(self) -> tuple[Case, ...]:
        """The cases without a label."""
        return tuple(case for case in self.cases if case.label is None)


def patient_of(name: str, pattern: str = "") -> str:
    """The patient of a case, from its name.

    Args:
        name: of the case.
        pattern: regular expression whose first group (or whole match) is the patient. Empty: the official LIDC-IDRI
            patient number where the name has one, else the name, so that every case is a patient of its own.

    Raises:
        InputError: the pattern does not match.
    """
    if pattern:
        match = re.search(pattern, name)
        if match is None:
            raise InputError(f"patient_pattern {pattern!r} does not match the case {name!r}")
        return match[1] if match.groups() else match[0]
    match = _LIDC_PATIENT.search(name)
    return match[0] if match else name


def check_unique(root: Path, cases: list[Case]) -> None:
    """Raise an InputError where two cases have one name."""
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            raise InputError(f"{root}: two cases are called {case.name}: {seen[case.name].image} and {case.image}")
        seen[case.name] = case
