"""Cases: what there is to learn from, whatever the layout of the data set on disk."""

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
        name: unique within its data set.
        image: a volume file, or a folder with one DICOM series.
        label: the segmentation, on the image's grid; None for an unlabeled case.
        patient: whose it is, cases of one patient are never split; the case's name where nothing is known.
        fold: number of the official fold, where the data set has folds.
    """

    name: str
    image: Path
    label: Path | None = None
    patient: str = ""
    fold: int | None = None

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.name)


@dataclass(frozen=True)
class CaseSet:
    """All cases of a data set.

    Attributes:
        root: the data set's folder.
        layout: name of the layout, one of :data:`segxfer3d.data.layouts.LAYOUTS`.
        cases: sorted by name.
        classes: label value -> name of every foreground class.
        modality: ``CT``, ``MR`` or ``unknown``.
    """

    root: Path
    layout: str
    cases: tuple[Case, ...]
    classes: dict[int, str]
    modality: str

    @property
    def labeled(self) -> tuple[Case, ...]:
        """The cases that have a label."""
        return tuple(case for case in self.cases if case.label is not None)

    @property
    def unlabeled(self) -> tuple[Case, ...]:
        """The cases that have none."""
        return tuple(case for case in self.cases if case.label is None)


def patient_of(name: str, pattern: str = "") -> str:
    """Read the patient from a case's name.

    Args:
        name: of the case, e.g. ``LIDC-IDRI-0005_R_2``.
        pattern: regular expression searched in the name; its first group is the patient, or the whole match where it
            has no group. Empty: the official naming of LIDC-IDRI where the name has it, else the name, so that every
            case is a patient of its own.

    Raises:
        InputError: the pattern is no regular expression, or finds no patient in the name.
    """
    if not pattern:
        found = _LIDC_PATIENT.search(name)
        return found.group() if found else name
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"patient_pattern {pattern!r}: not a regular expression ({error})") from error
    patient = found and found.group(1 if found.re.groups else 0)
    if not patient:
        raise InputError(f"patient_pattern {pattern!r}: finds no patient in the file name {name!r}")
    return patient
