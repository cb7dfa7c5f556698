"""The split of a job where a split file or a fold says it: read before the data, checked before any volume is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.config.own_split import OwnSplit
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.folds import Draws, by_fold, by_names, fold_count
from segxfer3d.data.named_parts import name_cases
from segxfer3d.data.split import Split
from segxfer3d.data.split_file import SplitFile, read_split_file
from segxfer3d.errors import InputError
from segxfer3d.run.folder import RunFolder

VALIDATES = "val"  # the official part of a case that validates


class SplitSaid:
    """What the options ``split_file``, ``fold`` and ``folds`` say.

    Attributes:
        record: what ``split.json`` says beside the parts: which fold, and of how many.
    """

    def __init__(self, own: OwnSplit, file: SplitFile | None, *, labels: bool) -> None:
        self.own = own
        self.file = file
        self.labels = labels
        self.record: dict[str, int] = {}
        self._named: Mapping[str, set[str]] = {}

    def look(self, case_set: CaseSet) -> None:
        """Compare with the cases that there are, before one is read.

        Raises:
            InputError: names that do not fit, all at once; a fold that is not there; or a validation part of the data
                set's own beside folds.
        """
        fold = self.own.fold
        if self.file is not None:
            named = name_cases(self.file, case_set.cases, labels=self.labels)
            chosen = self.file.of_fold(fold, self.own.folds)
            self._named = named[fold or 0]
            number = len(self.file.splits)
            assert len(chosen) == len(self._named)
        else:
            if any(case.part == VALIDATES for case in case_set.cases) and case_set.dims == 3:
                raise InputError(
                    f"folds: {case_set.root} has a validation part of its own; expected a split_file that has folds, "
                    "or no folds"
                )
            number = fold_count(case_set.cases, self.own.folds)
            if fold is not None and fold >= number:
                raise InputError(f"fold: expected 0 to {number - 1} (of {number} folds), got {fold}")
        self.record = {} if fold is None else {"fold": fold, "folds": number}

    def split(self, options: Options, cases: Sequence[Case], *, dims: int, labels: bool, run: RunFolder) -> Split:
        """The parts of the cases that can be used; who is where is said.

        Raises:
            InputError: as :func:`~segxfer3d.data.folds.by_fold` and :func:`~segxfer3d.data.folds.by_names`.
        """
        draws, unit = _draws(options, labels=labels), "patient" if dims == 3 else "case"
        if self.file is not None:
            split = by_names(cases, self._named, draws, unit=unit)
        else:
            assert self.own.fold is not None
            apart = options[groups.Data].pretrain_fraction
            split = by_fold(cases, draws, fold=self.own.fold, folds=self.own.folds, pretrain_fraction=apart, unit=unit)
        source = f"split_file {self.file.path}" if self.file else "folds"
        which = f", fold {self.record['fold']} of {self.record['folds']}" if self.record else ""
        used = {case.name for part in (split.pretrain, split.train, split.validation, split.test) for case in part}
        rest = sum(case.name not in used for case in cases)
        run.say(
            f"{source}{which}: {len(split.train)} cases train, {len(split.validation)} validate, {len(split.test)} are "
            f"tested{f', {rest} are in no part' if rest else ''}"
        )
        return split


def split_said(options: Options, *, labels: bool) -> SplitSaid | None:
    """What the options say; None where fractions, or the data set, say who is in which part.

    Args:
        options: of the job.
        labels: whether who trains and is tested needs a label.

    Raises:
        InputError: a file that cannot be read, or a fold that it does not have.
    """
    own = options.find(OwnSplit)
    if own is None or (not own.split_file and own.fold is None):
        return None
    file = read_split_file(own.split_file) if own.split_file else None
    if file is not None:
        file.of_fold(own.fold, own.folds)
    return SplitSaid(own, file, labels=labels)


def split_cases(options: Options, cases: Sequence[Case], rule: Callable[..., Split], *, labels: bool) -> Split:
    """Cases in parts, by a rule and what the options say of fractions, labels and seeds."""
    part, images = options.find(groups.TestPart), options.find(groups.Images)
    arguments: dict[str, Any] = {
        **vars(_draws(options, labels=labels)),
        "pretrain_fraction": options[groups.Data].pretrain_fraction,
        "official": images is not None and images.official_split,
    }
    if images is not None:
        arguments["label_rounding"] = images.label_rounding
    if part is not None:
        arguments["test_fraction"] = part.test_fraction
    return rule(cases, **arguments)


def _draws(options: Options, *, labels: bool) -> Draws:
    """What the options say of validation and labels."""
    data, drawn = options[groups.Data], options.find(groups.Labels)
    draws = Draws(data.validation_fraction, data.split_seed, labels=labels)
    if drawn is None or not labels:
        return draws
    seeded = options.find(groups.Training) or options.find(groups.Evaluation)
    seed = seeded.seed if seeded else 0
    return replace(draws, label_fraction=drawn.label_fraction, label_count=drawn.label_count, seed=seed)
