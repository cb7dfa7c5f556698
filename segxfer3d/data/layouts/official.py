"""Parts and folds that a ``dataset.json`` gives its cases: taken as they are, or refused with the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.data.case import Case
from segxfer3d.errors import InputError, some


def with_parts(
    training: Sequence[tuple[dict[str, Any], bool]], validation: Sequence[dict[str, Any]]
) -> list[tuple[dict[str, Any], bool]]:
    """The entries of "training" and "validation" with the official part of each, and whether it is labeled.

    Args:
        training: entries with whether they are labeled.
        validation: entries; those without a label are as those of "test".
    """
    validates = any(entry.get("label") for entry in validation)
    part = "train" if validates else ""
    return [
        *(({**entry, "part": part}, labeled) for entry, labeled in training),
        *(({**entry, "part": "val" if entry.get("label") else ""}, bool(entry.get("label"))) for entry in validation),
    ]


def check_official(path: Path, cases: Sequence[Case]) -> tuple[str, ...]:
    """Refuse parts and folds that cannot be kept, all names at once.

    Args:
        path: of the ``dataset.json``.
        cases: that it lists.

    Returns:
        what a user should hear.

    Raises:
        InputError: a fold that is no whole number, folds of some labeled cases only, a patient in training and
            validation, or both folds and a validation part.
    """
    labeled = [case for case in cases if case.label is not None]
    odd = [case.name for case in cases if case.fold is not None and not _is_fold(case.fold)]
    if odd:
        raise InputError(f'{path}: "fold" of {some(odd, 10, ", ")}: expected a whole number of at least 0')
    lacking = [case.name for case in labeled if case.fold is None]
    if lacking and len(lacking) < len(labeled):
        raise InputError(
            f'{path}: {len(lacking)} of {len(labeled)} labeled cases have no "fold", the others have one '
            f"({some(lacking, 10, ', ')}); expected one for each, or for none"
        )
    validates = {case.patient for case in labeled if case.part == "val"}
    if not validates:
        return ()
    if labeled and not lacking:
        raise InputError(f'{path}: has "validation" and "fold"; expected one of them, both say who validates')
    if shared := validates & {case.patient for case in labeled if case.part == "train"}:
        raise InputError(f'{path}: patients in "training" and in "validation": {some(sorted(shared), 10, ", ")}')
    number = sum(case.part == "val" for case in labeled)
    return (f'{path.name} has {number} cases in "validation": they validate (validation_fraction is not used)',)


def as_entries(content: Mapping[str, Any], key: str) -> list[Any]:
    """What a ``dataset.json`` lists under a key; nothing where it has none."""
    listed = content.get(key) or []
    if not isinstance(listed, list):
        raise TypeError(f"{key} should be a list, not {type(listed).__name__}")
    return listed


def _is_fold(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
