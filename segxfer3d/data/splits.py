"""Splits by patient, and labels drawn from the training part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segxfer3d.data.cases import Case
from segxfer3d.errors import InputError

LUNA16_FOLDS = {"train": range(0, 5), "validation": range(5, 7), "test": range(7, 10)}


@dataclass(frozen=True)
class Split:
    """Cases of each part; no patient is in two of ``train``, ``validation`` and ``test``.

    ``pretrain`` is what self-supervised pretraining may see: patients of its own, or the training part, and in any
    case the patients that have no labels at all.
    """

    pretrain: tuple[Case, ...]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Patient ids of each part."""
        return {part: sorted({case.patient for case in getattr(self, part)}) for part in self.__dataclass_fields__}

    @staticmethod
    def from_dict(parts: Mapping[str, Sequence[str]], cases: Sequence[Case]) -> Split:
        """The split again, from patient ids and the cases."""
        chosen = {part: set(patients) for part, patients in parts.items()}
        return Split(**{part: tuple(c for c in cases if c.patient in chosen[part]) for part in Split.__dataclass_fields__})


def round_half_up(value: float) -> int:
    """2.5 to 3, as the paper's label counts round."""
    return math.floor(value + 0.5)


def _patients(cases: Iterable[Case]) -> list[str]:
    return sorted({case.patient for case in cases})


def split_by_patient(
    cases: Sequence[Case],
    pretrain_fraction: float = 0.0,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.25,
    seed: int = 0,
) -> Split:
    """Split cases so that a patient is in one part only; the same whatever the order of the files.

    Counts are rounded half up, the training part gets the rest. Where every case has a fold (LUNA16) the published
    rule holds instead: folds 0-4 train, 5-6 validate, 7-9 test. Where no case has a label all are for pretraining,
    but for the validation part.

    Raises:
        InputError: a part that is asked for would be empty, or the fractions leave nothing to train on.
    """
    if cases and all(case.fold is not None for case in cases):
        parts = {part: tuple(c for c in cases if c.fold in folds) for part, folds in LUNA16_FOLDS.items()}
        return Split(parts["train"], **parts)
    labeled = [case for case in cases if case.label is not None]
    target = labeled or list(cases)
    if not labeled:
        pretrain_fraction, test_fraction = 0.0, 0.0
    patients = _patients(target)
    total = pretrain_fraction + validation_fraction + test_fraction
    if total >= 1:
        raise InputError(
            f"pretrain_fraction + validation_fraction + test_fraction is {total:g}, expected less than 1: nothing is left to train on"
        )
    order = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    fractions = {"test": test_fraction, "validation": validation_fraction, "pretrain": pretrain_fraction}
    counts = {part: round_half_up(fraction * len(order)) for part, fraction in fractions.items()}
    needed = 1 + sum(fraction > 0 for fraction in fractions.values())
    if len(order) < needed or sum(counts.values()) >= len(order) or any(f > 0 and not counts[p] for p, f in fractions.items()):
        if len(order) < needed or not labeled:
            if not labeled and order:  # pretraining alone can do without a validation part
                return Split(tuple(cases), tuple(cases), (), ())
            raise InputError(f"{len(order)} patients: the split needs at least {needed} (train and {_asked(fractions)})")
        for part, fraction in fractions.items():  # few patients: one each for the small parts
            counts[part] = max(counts[part], 1) if fraction > 0 else 0
        if sum(counts.values()) >= len(order):
            raise InputError(
                f"{len(order)} patients are too few for {_asked(fractions)} at these fractions: expected more than {sum(counts.values())}"
            )
    chosen: dict[str, set[str]] = {}
    start = 0
    for part, count in counts.items():
        chosen[part] = set(order[start : start + count])
        start += count
    chosen["train"] = set(order[start:])
    parts = {part: tuple(c for c in target if c.patient in patients_) for part, patients_ in chosen.items()}
    known = set(patients)
    extra = tuple(case for case in cases if case.patient not in known)
    pretrain = parts["pretrain"] if pretrain_fraction > 0 else parts["train"]
    return Split(pretrain + extra, parts["train"], parts["validation"], parts["test"])


def _asked(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {fraction:g}" for part, fraction in fractions.items() if fraction > 0)


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
    if label_fraction is not None and label_count is not None:
        raise InputError("label_fraction and label_count: expected one of them, got both")
    count = len(patients)
    if label_fraction is not None:
        if not 0 < label_fraction <= 1:
            raise InputError(f"label_fraction: expected a number above 0 and at most 1, got {label_fraction:g}")
        count = round_half_up(label_fraction * len(patients))
        if count < 1:
            raise InputError(f"label_fraction {label_fraction:g} of {len(patients)} training patients is none; expected at least one")
    if label_count is not None:
        if not 1 <= label_count <= len(patients):
            raise InputError(f"label_count: expected 1 to {len(patients)} (the training patients), got {label_count}")
        count = label_count
    order = np.random.default_rng([seed, 1]).permutation(len(patients))
    chosen = {patients[i] for i in order[:count]}
    return tuple(case for case in train if case.patient in chosen)
