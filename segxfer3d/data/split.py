"""Who is in which part: the two split rules, and what a run notes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segxfer3d.config.apart import refuse_apart
from segxfer3d.data.case import Case
from segxfer3d.data.split_draws import (
    cases_of,
    draw_few,
    draw_parts,
    hold_out,
    labeled_or_all,
    official_parts,
    patients_of,
    take_labels,
)
from segxfer3d.errors import InputError, some

PARTS = ("pretrain", "train", "validation", "test")
UNITS = ("patient", "case")


@dataclass(frozen=True)
class Split:
    """Cases of each part, sorted by name; no patient is in two of ``train``, ``validation`` and ``test``.

    Attributes:
        pretrain: what self-supervised pretraining sees.
        train: the training part.
        labeled: the cases of the training part whose labels are used.
        validation: what decides which epoch is kept.
        test: what is measured.
        unit: what ``split.json`` names: ``patient`` or ``case``.
    """

    pretrain: tuple[Case, ...]
    train: tuple[Case, ...]
    labeled: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    unit: str = "patient"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``split.json``: the unit, and the patients or cases of each part, sorted.

        Whose labels are used is not among them: it differs between runs of one split, see :func:`labels_record`.
        """
        parts = {part: getattr(self, part) for part in PARTS}
        if self.unit == "patient":
            return {"unit": self.unit, **{part: patients_of(cases) for part, cases in parts.items()}}
        return {"unit": self.unit, **{part: [case.name for case in cases] for part, cases in parts.items()}}

    @staticmethod
    def from_dict(
        values: Mapping[str, Any], cases: Sequence[Case], *, labels: Mapping[str, Any] | None = None
    ) -> Split:
        """The split again; cases that it does not name are in no part.

        Args:
            values: of :meth:`as_dict`, or one of the two older forms, which did not say their unit (patients for
                volumes, cases for images).
            cases: of the data set.
            labels: of :func:`labels_record`; without it, the whole training part counts as labeled.

        Raises:
            InputError: a part is missing, or names a patient or case that is not there.
        """
        if missing := [part for part in PARTS if part not in values]:
            raise InputError(f"split: expected the parts {', '.join(PARTS)}; {', '.join(missing)} missing")
        known = {"patient": {case.patient for case in cases}, "case": {case.name for case in cases}}
        listed = {name for part in PARTS for name in values[part]}
        unit = values.get("unit") or max(UNITS, key=lambda each: len(listed & known[each]))
        if unit not in UNITS:
            raise InputError(f"split: unit {unit!r}; expected {' or '.join(UNITS)}")
        if lost := sorted(listed - known[unit]):
            what = "no case of {} of its patients" if unit == "patient" else "{} of its cases are not there"
            raise InputError(f"split: {what.format(len(lost))}: {some(lost, 10, ', ')}")
        if unit == "patient":
            target = labeled_or_all(cases)
            parts = {part: cases_of(values[part], cases if part == "pretrain" else target) for part in PARTS}
        else:
            by_name = {case.name: case for case in cases}
            parts = {part: tuple(by_name[name] for name in sorted(values[part])) for part in PARTS}
        names = None if labels is None else set(labels["cases"])
        labeled = tuple(case for case in parts["train"] if names is None or case.name in names)
        return Split(**parts, labeled=labeled, unit=unit)


def by_patient(
    cases: Sequence[Case],
    *,
    pretrain_fraction: float = 0.0,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.25,
    split_seed: int = 0,
    label_fraction: float | None = None,
    label_count: int | None = None,
    seed: int = 0,
    labels: bool = True,
    official: bool = False,
    label_rounding: str = "published",
) -> Split:
    """Split so that a patient is in one part only, then draw labels from the training part.

    The same whatever the order of the files. Fractions are of the patients who have labels; their numbers are rounded
    half up, at least one where the fraction is above 0, and the training part gets the rest. Patients without any label
    are for pretraining. Where nobody has a label everything is for pretraining but the validation part, which is left
    out for a single patient.

    Where every labeled case has a fold the published rule of LUNA16 holds instead: folds 0-4 train, 5-6 validate, 7-9
    test. A patient in several folds counts to the first of them. Where the data set has a validation part of its own
    (``Case.part``), that validates, and the other parts are drawn from the rest.

    Args:
        cases: of one data set.
        pretrain_fraction: of the patients, for pretraining alone; 0 pretrains on the training part.
        validation_fraction: of the patients.
        test_fraction: of the patients; the same patients whatever the other fractions.
        split_seed: of the shuffle.
        label_fraction: of the patients of the training part, whose labels are used, rounded half up; or
        label_count: their number. Neither: all. A smaller draw is part of a larger one of the same seed.
        seed: of that draw.
        labels: False for pretraining: nobody's labels are drawn.
        official: the data set's own training and validation part are asked for, which this rule does not know.
        label_rounding: of images alone; patients are always rounded half up.

    Raises:
        InputError: fractions outside [0, 1) or that leave nothing to train on, fewer patients than parts need, labels
            that cannot be met, ``official``, or another ``label_rounding`` than the default.
    """
    if official:
        raise InputError("official_split: patients are split by fractions, or by the folds of LUNA16; expected False")
    if label_rounding != "published":
        raise InputError("label_rounding: of images alone; numbers of patients are always rounded half up")
    parts = draw_parts(
        cases,
        pretrain_fraction=pretrain_fraction,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=split_seed,
    )
    labeled: tuple[Case, ...] = ()
    if labels:
        labeled = take_labels(parts.train, label_fraction=label_fraction, label_count=label_count, seed=seed)
    return Split(parts.pretrain, parts.train, labeled, parts.validation, parts.test)


def few_of_all(
    cases: Sequence[Case],
    *,
    pretrain_fraction: float = 0.0,
    validation_fraction: float = 0.0,
    test_fraction: float = 0.0,
    split_seed: int = 0,
    label_fraction: float | None = None,
    label_count: int | None = None,
    seed: int = 0,
    labels: bool = True,
    official: bool = False,
    label_rounding: str = "published",
) -> Split:
    """Train on a few of all images, evaluate on all the others: the paper's protocol for images.

    Unlike in :func:`by_patient`, the fraction is of the whole data set, and what it leaves is the test part. So the
    test part depends on the fraction, unless ``test_fraction`` sets one apart. All numbers are of patients
    (``Case.patient``), which are single images unless the data set knows better. For one seed the training part of a
    smaller fraction is part of a larger's. The same whatever the order of the files.

    Args:
        cases: of one data set.
        pretrain_fraction: of the patients with a mask, set apart before anything else, rounded half up, at least one;
            those without any pretrain, too, and for fine-tuning all else is of the others. 0 sets none apart:
            pretraining takes all images.
        validation_fraction: of the training side, rounded half up, at least one; not trained on and not tested on. For
            pretraining: of what pretrains.
        test_fraction: of the others, to test on; then images that are neither labeled nor among these are not used.
        split_seed: of what is set apart; what validates pretraining is drawn by ``split_seed`` + 1.
        label_fraction: of the patients, to train on, counted by :func:`~segxfer3d.data.split_draws.labeled_count`; or
        label_count: their number. Neither: with ``official`` the whole official training part, else an error.
        seed: of that draw.
        labels: False for pretraining: ``pretrain`` trains and ``validation`` validates, the other parts are empty.
        official: test on the data set's official validation part and draw from its official training part only; for
            pretraining, train and validate on them.
        label_rounding: see :func:`~segxfer3d.data.split_draws.labeled_count`.

    Raises:
        InputError: fractions out of range, a number that cannot be met, or a part that nothing is left for.
    """
    refuse_apart(official_split=official, pretrain_fraction=pretrain_fraction)
    if not 0 <= pretrain_fraction < 1:
        raise InputError(f"pretrain_fraction: expected at least 0 and less than 1, got {pretrain_fraction:g}")
    rest, pretrain = tuple(cases), tuple[Case, ...]()
    if pretrain_fraction:
        rest, pretrain = _set_apart(cases, pretrain_fraction, split_seed)
    if not labels:
        train, held = pretrain or rest, tuple[Case, ...]()
        if official:
            train, held = official_parts(cases)
        elif validation_fraction:
            train, held = hold_out(train, validation_fraction, seed=split_seed + 1)
        return Split(train, (), (), held, (), "case")
    test: tuple[Case, ...] = ()
    if test_fraction:
        refuse_apart(test_fraction=test_fraction, official_split=official)
        rest, test = hold_out(rest, test_fraction, seed=split_seed)
    parts = draw_few(
        rest,
        label_fraction=label_fraction,
        label_count=label_count,
        validation_fraction=validation_fraction,
        seed=seed,
        official=official,
        label_rounding=label_rounding,
    )
    return Split(pretrain, parts.train, parts.train, parts.validation, test or parts.test, "case")


def _set_apart(cases: Sequence[Case], fraction: float, seed: int) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Others and those to pretrain on, drawn from the images with a mask: these are what fine-tuning sees."""
    target = labeled_or_all(cases)
    rest, apart = hold_out(target, fraction, seed=seed)
    without = {case.patient for case in cases} - {case.patient for case in target}
    return rest, cases_of({*patients_of(apart), *without}, cases)


def labels_record(split: Split) -> dict[str, list[str]]:
    """Plain values for ``labels.json``: whose labels are used."""
    return {"cases": [case.name for case in split.labeled], "patients": patients_of(split.labeled)}
