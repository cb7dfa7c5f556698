"""Splits that are not drawn by fractions: one fold of several, and what a split file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from segxfer3d.data.case import Case
from segxfer3d.data.split import Split
from segxfer3d.data.split_draws import (
    Cases,
    cases_of,
    labeled_or_all,
    patients_of,
    round_half_up,
    take_labels,
)
from segxfer3d.errors import InputError, some

# separate the streams of draws that one seed makes, beside those of split_draws
_FOLDS, _VALIDATED = 4, 5


@dataclass(frozen=True)
class Draws:
    """What is drawn from the patients who are not tested.

    Attributes:
        validation_fraction: of the patients, to validate on; rounded half up, at least one where it is above 0.
        split_seed: of the draws of patients.
        label_fraction: of the training patients whose labels are used, see
            :func:`~segxfer3d.data.split_draws.take_labels`; or
        label_count: their number. Neither: all.
        seed: of the draw of labels.
        labels: False for pretraining: nobody's labels are drawn.
    """

    validation_fraction: float = 0.15
    split_seed: int = 0
    label_fraction: float | None = None
    label_count: int | None = None
    seed: int = 0
    labels: bool = True

    def labeled(self, train: Sequence[Case]) -> Cases:
        """The cases of the training part whose labels are used."""
        if not self.labels:
            return ()
        fraction, count = self.label_fraction, self.label_count
        return take_labels(train, label_fraction=fraction, label_count=count, seed=self.seed)


def fold_count(cases: Sequence[Case], folds: int | None) -> int:
    """How many folds there are: as many as the data set has, else as asked.

    Args:
        cases: of one data set.
        folds: asked for, if any.

    Raises:
        InputError: not asked for and the data set has none; or another number than it has.
    """
    own = _own_folds(cases)
    if not own and folds is None:
        raise InputError("folds: how many? The data set has none of its own; expected --folds 5, or another number")
    if own and folds not in (None, len(own)):
        raise InputError(f"folds {folds}: the data set has {len(own)} of its own; expected {len(own)}, or a split_file")
    return len(own) or folds or 0


def by_fold(
    cases: Sequence[Case],
    draws: Draws | None = None,
    *,
    fold: int,
    folds: int | None = None,
    pretrain_fraction: float = 0.0,
    unit: str = "patient",
) -> Split:
    """The split in which one fold is tested and the others train, the same whatever the order of the files.

    Folds are the data set's own where every labeled case has one (a patient in several counts to the first of them);
    else patients are shuffled by ``split_seed`` and dealt, so that folds differ by one patient at most. The validation
    part comes from the patients who are not tested. With ``pretrain_fraction`` patients are set apart for pretraining
    before there are folds, the same for all of them: then nobody tests on them, and one pretraining, whose validation
    part is of them too, serves every fold.

    Args:
        cases: of one data set.
        draws: who validates, and whose labels are used; the validation part is a share of those whom no pretraining
            sets apart, or, for a pretraining with ``pretrain_fraction``, of those whom it sets apart.
        fold: which is tested, counted from 0 (of the data set's own: in the order of their numbers).
        folds: how many; None for the data set's own.
        pretrain_fraction: of the patients who have labels.
        unit: what ``split.json`` names.

    Raises:
        InputError: no such fold, fewer patients than folds, or parts that leave nobody to train on.
    """
    draws, number = draws or Draws(), fold_count(cases, folds)
    if not 0 <= fold < number:
        raise InputError(f"fold: expected 0 to {number - 1} (of {number} folds), got {fold}")
    target = labeled_or_all(cases)
    without_labels = {case.patient for case in cases} - {case.patient for case in target}
    rest, apart = _set_apart(patients_of(target), pretrain_fraction, draws.split_seed)
    dealt = _dealt(target, rest, number, draws.split_seed)
    others = [patient for step in range(1, number) for patient in dealt[(fold + step) % number]]
    if apart and not draws.labels:
        held, learned = _held(apart, draws)
        return Split(
            cases_of({*learned, *without_labels}, cases), cases_of(others, target), (), cases_of(held, target),
            cases_of(dealt[fold], target), unit,
        )  # fmt: skip
    validation, train = _first(others, draws.validation_fraction, len(rest))
    parts = {name: cases_of(who, target) for name, who in (("train", train), ("validation", validation))}
    pretrain = cases_of({*(apart or train), *without_labels}, cases)
    return Split(
        pretrain, **parts, labeled=draws.labeled(parts["train"]), test=cases_of(dealt[fold], target), unit=unit
    )


def by_names(
    cases: Sequence[Case],
    named: Mapping[str, Set[str]],
    draws: Draws | None = None,
    *,
    unit: str = "patient",
) -> Split:
    """The split that a file says.

    Where it names nobody to validate on, they are drawn from its training part. Where it names nobody to pretrain on,
    the training part does, and patients without labels who are not validated or tested. Labeled cases that it does not
    name are in no part.

    Args:
        cases: that can be used.
        named: part to names of cases, of :func:`~segxfer3d.data.named_parts.name_cases`.
        draws: whose labels are used, and, where the file has no validation part, who of its training part validates.
        unit: what ``split.json`` names, where patients are whole.

    Raises:
        InputError: nobody is left to train on.
    """
    draws = draws or Draws()
    parts = {part: _of_names(named.get(part, ()), cases) for part in ("pretrain", "train", "validation", "test")}
    if not parts["train"]:
        raise InputError("split_file: not one case of its train part can be used")
    if "validation" not in named and draws.validation_fraction:
        held, rest = _held(patients_of(parts["train"]), draws)
        parts["validation"], parts["train"] = (cases_of(who, parts["train"]) for who in (held, rest))
    if "pretrain" not in named:
        target = labeled_or_all(cases)
        held_out = (*target, *parts["validation"], *parts["test"])
        others = {case.patient for case in cases} - {case.patient for case in held_out}
        parts["pretrain"] = _sorted({*parts["train"], *cases_of(others, cases)})
    whole = all(cases_of(patients_of(part), labeled_or_all(cases)) == part for part in list(parts.values())[1:])
    return Split(**parts, labeled=draws.labeled(parts["train"]), unit=unit if whole else "case")


def _own_folds(cases: Sequence[Case]) -> list[int]:
    """The numbers of the data set's own folds; none where it has none."""
    numbers = [case.fold for case in labeled_or_all(cases)]
    return sorted({number for number in numbers if number is not None}) if None not in numbers else []


def _set_apart(patients: Sequence[str], fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """Patients to make folds of, shuffled, and those to pretrain on."""
    if not 0 <= fraction < 1:
        raise InputError(f"pretrain_fraction: expected at least 0 and less than 1, got {fraction:g}")
    order = [patients[i] for i in np.random.default_rng([seed, _FOLDS]).permutation(len(patients))]
    count = max(1, round_half_up(fraction, len(order))) if fraction else 0
    return order[count:], order[:count]


def _dealt(target: Sequence[Case], order: Sequence[str], number: int, seed: int) -> list[list[str]]:
    """The patients of each fold."""
    own = _own_folds(target)
    if own:
        first: dict[str, int] = {}
        for case in target:
            if case.fold is not None:
                first[case.patient] = min(case.fold, first.get(case.patient, case.fold))
        dealt = [[patient for patient in order if first[patient] == fold] for fold in own]
    else:
        dealt = [list(order[i::number]) for i in range(number)]
    if empty := [i for i, patients in enumerate(dealt) if not patients]:
        raise InputError(f"folds: {len(order)} patients leave nobody in fold {some(empty, 10, ', ')} of {number}")
    return dealt


def _first(order: Sequence[str], fraction: float, of: int) -> tuple[list[str], list[str]]:
    """The first of an order, a share of a number, and the rest.

    Raises:
        InputError: nobody is left.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"validation_fraction: expected at least 0 and less than 1, got {fraction:g}")
    count = max(1, round_half_up(fraction, of)) if fraction else 0
    if count >= len(order):
        raise InputError(
            f"validation_fraction {fraction:g} of {of} patients leaves none of {len(order)} to train on; expected less"
        )
    return list(order[:count]), list(order[count:])


def _held(patients: Sequence[str], draws: Draws) -> tuple[list[str], list[str]]:
    names = sorted(patients)
    order = [names[i] for i in np.random.default_rng([draws.split_seed, _VALIDATED]).permutation(len(names))]
    return _first(order, draws.validation_fraction, len(order))


def _of_names(names: Set[str] | tuple[str, ...], cases: Sequence[Case]) -> Cases:
    return _sorted({case for case in cases if case.name in names})


def _sorted(cases: Set[Case]) -> Cases:
    return tuple(sorted(cases, key=lambda case: case.name))
