"""The draws that :mod:`segxfer3d.data.split` is made of: patients into parts, labels from a part."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from segxfer3d.config.apart import refuse_apart
from segxfer3d.data.case import Case
from segxfer3d.errors import InputError, some

LUNA16_FOLDS = {"train": range(0, 5), "validation": range(5, 7), "test": range(7, 10)}

# Number of images of a data set -> fraction -> images that the paper trained on. No rule of rounding gives all six:
# five are rounded half up, but 5 % of 7375 is 368.75, which the paper counts as 368, while its 73.75 became 74.
PUBLISHED_COUNTS = {
    849: {0.01: 8, 0.05: 42, 0.2: 170},  # Oxford Flowers 17
    7375: {0.01: 74, 0.05: 368, 0.2: 1475},  # Oxford-IIIT Pets
}

# Separate the streams of draws that one seed makes: which images are held out, and which are labeled.
_HELD_OUT, _LABELED = 2, 3

Cases = tuple[Case, ...]


class Parts(NamedTuple):
    """Cases of each part, sorted by name; see :class:`segxfer3d.data.split.Split`."""

    pretrain: Cases
    train: Cases
    validation: Cases
    test: Cases


def draw_parts(
    cases: Sequence[Case], *, pretrain_fraction: float, validation_fraction: float, test_fraction: float, seed: int
) -> Parts:
    """Patients into parts, the same whatever the order of the files; see :func:`segxfer3d.data.split.by_patient`.

    Raises:
        InputError: fractions outside [0, 1) or that leave nothing to train on, or fewer patients than parts need.
    """
    fractions = {"test": test_fraction, "validation": validation_fraction, "pretrain": pretrain_fraction}
    for part, fraction in fractions.items():
        if not 0 <= fraction < 1:
            raise InputError(f"{part}_fraction: expected at least 0 and less than 1, got {fraction:g}")
    if sum(fractions.values()) >= 1:
        raise InputError(f"{_asked(fractions)}: expected less than 1 in all, so that something is left to train on")
    target = labeled_or_all(cases)
    patients = patients_of(target)
    if target and all(case.fold is not None for case in target):
        return _parts_by_fold(cases, target)
    if any(case.part == "val" for case in target):
        return _parts_around(cases, target, fractions, seed)
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
    return Parts(
        cases_of(pretrain | without_labels, cases),
        cases_of(set(order), target),
        cases_of(chosen["validation"], target),
        cases_of(chosen["test"], target),
    )


def take_labels(
    train: Sequence[Case], *, label_fraction: float | None = None, label_count: int | None = None, seed: int = 0
) -> Cases:
    """The cases of the patients whose labels may be used; a smaller draw is part of a larger one of the same seed.

    Args:
        train: the training part.
        label_fraction: share of its patients, rounded half up; or
        label_count: their number. Neither: all.
        seed: of the draw.

    Raises:
        InputError: both given, or a share or number that cannot be met.
    """
    patients = patients_of(train)
    count = len(patients)
    refuse_apart(label_fraction=label_fraction, label_count=label_count)
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
    return cases_of({patients[i] for i in order[:count]}, train)


def hold_out(cases: Sequence[Case], fraction: float, *, seed: int = 0) -> tuple[Cases, Cases]:
    """Set a share of the patients (of images: of the scenes, or single images) apart, such as for pretraining.

    Args:
        cases: of one data set.
        fraction: of the patients, above 0 and below 1; rounded half up, at least one.
        seed: of the draw.

    Returns:
        the others and the share.

    Raises:
        InputError: the fraction is out of range, or leaves nothing.
    """
    if not 0 < fraction < 1:
        raise InputError(f"the share to set apart: expected above 0 and less than 1, got {fraction:g}")
    patients = patients_of(cases)
    count = max(1, round_half_up(fraction, len(patients)))
    if count >= len(patients):
        raise InputError(f"setting {fraction:g} of {len(patients)} images apart leaves none; expected more images")
    order = [patients[i] for i in np.random.default_rng([seed, _HELD_OUT]).permutation(len(patients))]
    return cases_of(order[count:], cases), cases_of(order[:count], cases)


def draw_few(
    cases: Sequence[Case],
    *,
    label_fraction: float | None = None,
    label_count: int | None = None,
    validation_fraction: float = 0.0,
    seed: int = 0,
    official: bool = False,
    label_rounding: str = "published",
) -> Parts:
    """A few of all cases to train on, all others to test on; see :func:`segxfer3d.data.split.few_of_all`.

    Raises:
        InputError: fractions out of range, a number that cannot be met, or a part that nothing is left for.
    """
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction: expected at least 0 and less than 1, got {validation_fraction:g}")
    refuse_apart(label_fraction=label_fraction, label_count=label_count)
    if official:
        pool, test = official_parts(cases)
    else:
        pool, test = tuple(cases), ()
        if label_fraction is None and label_count is None:
            raise InputError("label_fraction or label_count: expected one of them, to say how many images to train on")
    patients = patients_of(pool)
    noun = "images" if len(patients) == len(pool) else "patients"
    count = _few(len(patients), label_fraction, label_count, label_rounding, noun)
    if not official and count >= len(patients):
        raise InputError(f"{count} of {len(patients)} {noun} to train on leave nothing to evaluate on; expected fewer")
    order = [patients[i] for i in np.random.default_rng([seed, _LABELED]).permutation(len(patients))]
    held = max(1, round_half_up(validation_fraction, count)) if validation_fraction else 0
    if held >= count:
        raise InputError(
            f"validation_fraction {validation_fraction:g} of {count} training images leaves none; expected at least "
            "one to train on"
        )
    # from the end of the draw, so that training parts of one seed stay nested
    train, validation = order[: count - held], order[count - held : count]
    return Parts((), cases_of(train, pool), cases_of(validation, pool), test or cases_of(order[count:], pool))


def official_parts(cases: Sequence[Case]) -> tuple[Cases, Cases]:
    """The data set's own training and validation part.

    Raises:
        InputError: one of them has no case, or a patient is in both.
    """
    parts = [tuple(sorted((c for c in cases if c.part == part), key=lambda c: c.name)) for part in ("train", "val")]
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not part:
            raise InputError(f"the official split: no image of its {name} part; does the data set have such a split?")
    if shared := {c.patient for c in parts[0]} & {c.patient for c in parts[1]}:
        raise InputError(f"the official split: images of one group in both parts: {some(sorted(shared), 10, ', ')}")
    return parts[0], parts[1]


def labeled_count(fraction: float, number: int, rounding: str = "published") -> int:
    """How many of ``number`` images a fraction is: the paper's count where it has one, else rounded half up.

    The paper's own counts (:data:`PUBLISHED_COUNTS`) hold for a data set of exactly the published number of images, and
    not where ``rounding`` is ``half-up``.

    Example:
        >>> [labeled_count(fraction, 849) for fraction in (0.01, 0.05, 0.2)]
        [8, 42, 170]
        >>> [labeled_count(0.05, number) for number in (7375, 7376, 10)]
        [368, 369, 1]
    """
    published = PUBLISHED_COUNTS.get(number, {}) if rounding == "published" else {}
    return published.get(fraction, round_half_up(fraction, number))


def round_half_up(fraction: float, number: int) -> int:
    """``fraction`` of ``number``, 2.5 to 3; in decimals, so that 0.145 of 100 is 15."""
    return math.floor(Decimal(str(fraction)) * number + Decimal("0.5"))


def labeled_or_all(cases: Sequence[Case]) -> list[Case]:
    """What is drawn from, in every task alike: the cases with a label, or all where none has one."""
    return [case for case in cases if case.labeled] or list(cases)


def patients_of(cases: Iterable[Case]) -> list[str]:
    """Their patients, sorted."""
    return sorted({case.patient for case in cases})


def cases_of(patients: Collection[str], cases: Iterable[Case]) -> Cases:
    """The cases of these patients, sorted by name."""
    chosen = set(patients)
    return tuple(sorted((case for case in cases if case.patient in chosen), key=lambda case: case.name))


def _parts_by_fold(cases: Sequence[Case], target: Sequence[Case]) -> Parts:
    first: dict[str, int] = {}
    for case in cases:
        if case.fold is not None:
            first[case.patient] = min(case.fold, first.get(case.patient, case.fold))
    chosen = {part: {p for p, fold in first.items() if fold in folds} for part, folds in LUNA16_FOLDS.items()}
    parts = {part: cases_of(patients, target) for part, patients in chosen.items()}
    # without labels there is only pretraining, which can do with its training part
    for part in LUNA16_FOLDS if any(case.label for case in target) else ("train",):
        if not parts[part]:
            folds = LUNA16_FOLDS[part]
            raise InputError(
                f"no cases in the folds {folds[0]}-{folds[-1]}, which are the {part} part; "
                f"the cases have the folds {', '.join(map(str, sorted(set(first.values()))))}; --fold 0 tests the "
                "first of them and trains on the others"
            )
    without_labels = {case.patient for case in cases} - {case.patient for case in target}
    return Parts(cases_of(chosen["train"] | without_labels, cases), **parts)


def _parts_around(cases: Sequence[Case], target: Sequence[Case], fractions: Mapping[str, float], seed: int) -> Parts:
    """The validation part is the data set's own; the test part and what only pretrains are drawn from the others."""
    train, validation = official_parts(target)
    patients = patients_of(train)
    counts = _counts({part: share for part, share in fractions.items() if part != "validation"}, len(patients))
    if sum(counts.values()) >= len(patients):
        raise InputError(
            f"{len(patients)} patients beside the data set's own validation part are fewer than the split needs: "
            f"at least {sum(counts.values()) + 1} for train and {_asked(dict(fractions, validation=0))}"
        )
    order = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    test, rest = set(order[: counts["test"]]), order[counts["test"] :]
    apart, learned = set(rest[: counts["pretrain"]]), set(rest[counts["pretrain"] :])
    without_labels = {case.patient for case in cases} - {case.patient for case in target}
    pretrain = cases_of((apart or learned) | without_labels, cases)
    return Parts(pretrain, cases_of(learned, train), validation, cases_of(test, train))


def _counts(fractions: Mapping[str, float], patients: int) -> dict[str, int]:
    return {part: max(1, round_half_up(share, patients)) if share > 0 else 0 for part, share in fractions.items()}


def _few(patients: int, fraction: float | None, count: int | None, rounding: str, noun: str) -> int:
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise InputError(f"label_fraction: expected a number above 0 and at most 1, got {fraction:g}")
        count = labeled_count(fraction, patients, rounding)
        if count < 1:
            raise InputError(f"label_fraction {fraction:g} of {patients} {noun} is none; expected at least one")
        return count
    if count is not None and not 1 <= count <= patients:
        raise InputError(f"label_count: expected 1 to {patients} (the {noun}), got {count}")
    return patients if count is None else count


def _asked(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{part}_fraction {fraction:g}" for part, fraction in fractions.items() if fraction > 0)
