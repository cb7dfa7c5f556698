"""Splits by patient, and labels drawn from the training part."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

import numpy as np

from segxfer3d.data.case import Case
from segxfer3d.errors import InputError

LUNA16_FOLDS = {"train": range(0, 5), "validation": range(5, 7), "test": range(7, 10)}


@dataclass(frozen=True)
class Split:
    """Cases of each part, sorted by name; no patient is in two of ``train``, ``validation`` and ``test``.

    ``pretrain`` is what self-supervised pretraining may see: patients of its own or the training part, with or without
    labels, and in any case the patients that have no labels at all. The other parts hold labeled cases only, unless the
    data set has no labels at all.
    """

    pretrain: tuple[Case, ...]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Patient ids of each part."""
        return {part.name: _patients(getattr(self, part.name)) for part in fields(self)}

    @staticmethod
    def from_dict(parts: Mapping[str, Collection[str]], cases: Sequence[Case]) -> Split:
        """The split again, from the patient ids of each part; patients that it does not name are in no part.

        Raises:
            InputError: a part is missing, or names a patient of whom there is no case.
        """
        names = [part.name for part in fields(Split)]
        if missing := [name for name in names if name not in parts]:
            raise InputError(f"split: expected the parts {', '.join(names)}; {', '.join(missing)} missing")
        known = {case.patient for case in cases}
        if lost := sorted({patient for name in names for patient in parts[name]} - known):
            raise InputError(f"split: no case of {len(lost)} of its patients: {', '.join(lost[:10])}")
        target = _target(cases)
        return Split(
            _of(parts["pretrain"], cases), *(_of(parts[name], target) for name in ("train", "validation", "test"))
        )


def split_by_patient(
    cases: Sequence[Case],
    pretrain_fraction: float = 0.0,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> Split:
    """Split cases so that a patient is in one part only; the same whatever the order of the files.

    Fractions are of the patients who have labels; their numbers are rounded half up, at least one where the fraction is
    above 0, and the training part gets the rest. Patients without any label are for pretraining. Where nobody has a
    label everything is for pretraining but the validation part, which is left out for a single patient.

    Where every case has a fold the published rule of LUNA16 holds instead: folds 0-4 train, 5-6 validate, 7-9 test. A
    patient in several folds counts to the first of them.

    Args:
        cases: of one data set.
        pretrain_fraction: of the patients, for pretraining alone; 0 pretrains on the training part.
        validation_fraction: of the patients.
        test_fraction: of the patients; the same patients whatever the other fractions.
        seed: of the shuffle.

    Raises:
        InputError: fractions outside [0, 1) or that leave nothing to train on, or fewer patients than parts need.
    """
    fractions = {"test": test_fraction, "validation": validation_fraction, "pretrain": pretrain_fraction}
    for part, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise InputError(f"{part}_fraction: expected at least 0 and less than 1, got {fraction:g}")
    if sum(fractions.values()) >= 1:
        raise InputError(f"{_asked(fractions)}: expected less than 1 in all, so that something is left to train on")
    target = _target(cases)
    patients = _patients(target)
    if target and all(case.fold is not None for case in cases):
        return _split_by_fold(cases, target)
    if not any(case.label for case in target):
        fractions |= {"test": 0.0, "pretrain": 0.0}
        if len(patients) == 1:
            fractions["validation"] = 0.0
    counts = _counts(fractions, len(patients))
    if sum(counts.values()) >= len(patients):
        needed = len(patients) + 1
        while sum(_counts(fractions, needed).values()) >= needed:
            needed += 1
        asked = f" and {_asked(fractions)}" if any(fractions.values()) else ""
        raise InputError(f"{len(patients)} patients are fewer than the split needs: at least {needed} for train{asked}")
    order = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    chosen: dict[str, set[str]] = {}
    for part, count in counts.items():
        chosen[part], order = set(order[:count]), order[count:]
    pretrain = chosen["pretrain"] or set(order)
    without_labels = {case.patient for case in cases} - set(patients)
    return Split(
        _of(pretrain | without_labels, cases),
        _of(set(order), target),
        _of(chosen["validation"], target),
        _of(chosen["test"], target),
    )


def take_labels(
    train: Sequence[Case], label_fraction: float | None = None, label_count: int | None = None, seed: int = 0
) -> tuple[Case, ...]:
    """The cases of the patients whose labels may be used; a smaller draw is part of a larger one of the same seed.

    Args:
        train: the training part.
        label_fraction: share of its patients, rounded half up; or
        label_count: their number. Neither: all.
        seed: of the draw.

    Raises:
        InputError: both given, or a share or number that cannot be met.
    """
    patients = _patients(train)
    count = len(patients)
    if label_fraction is not None and label_count is not None:
        raise InputError("label_fraction and label_count: expected one of them, got both")
    if label_fraction is not None:
        if not 0 < label_fraction <= 1:
            raise InputError(f"label_fraction: expected a number above 0 and at most 1, got {label_fraction:g}")
        count = round_half_up(label_fraction, len(patients))
        if count < 1:
            raise InputError(
                f"label_fraction {label_fraction:g} of {len(patients)} training patients is none; expected at least one"
            )
    if label_count is not None:
        if not 1 <= label_count <= len(patients):
            raise InputError(f"label_count: expected 1 to {len(patients)} (the training patients), got {label_count}")
        count = label_count
    order = np.random.default_rng([seed, 1]).permutation(len(patients))
    return _of({patients[i] for i in order[:count]}, train)


def round_half_up(fraction: float, number: int) -> int:
    """``fraction`` of ``number``, 2.5 to 3; in decimals, so that 0.145 of 100 is 15."""
    return math.floor(Decimal(str(fraction)) * number + Decimal("0.5"))


def _split_by_fold(cases: Sequence[Case], target: Sequence[Case]) -> Split:
    first: dict[str, int] = {}
    for case in cases:
        if case.fold is not None:
            first[case.patient] = min(case.fold, first.get(case.patient, case.fold))
    chosen = {part: {p for p, fold in first.items() if fold in folds} for part, folds in LUNA16_FOLDS.items()}
    parts = {part: _of(patients, target) for part, patients in chosen.items()}
    # without labels there is only pretraining, which can do with its training part
    for part in LUNA16_FOLDS if any(case.label for case in target) else ("train",):
        if not parts[part]:
            folds = LUNA16_FOLDS[part]
            raise InputError(
                f"no cases in the folds {folds[0]}-{folds[-1]}, which are the {part} part; "
                f"the cases have the folds {', '.join(map(str, sorted(set(first.values()))))}"
            )
    return Split(_of(chosen["train"], cases), **parts)


def _counts(fractions: Mapping[str, float], patients: int) -> dict[str, int]:
    return {part: max(1, round_half_up(share, patients)) if share > 0 else 0 for part, share in fractions.items()}


def _target(cases: Sequence[Case]) -> list[Case]:
    """What is split: the labeled cases, or all where none has a label."""
    return [case for case in cases if case.label] or list(cases)


def _patients(cases: Iterable[Case]) -> list[str]:
    return sorted({case.patient for case in cases})


def _of(patients: Collection[str], cases: Iterable[Case]) -> tuple[Case, ...]:
    chosen = set(patients)
    return tuple(sorted((case for case in cases if case.patient in chosen), key=lambda case: case.name))


def _asked(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{part}_fraction {fraction:g}" for part, fraction in fractions.items() if fraction > 0)
