"""Values of label files that stand for others: what the option ``label_map`` says, and what segments of a file say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.case import Case, CaseSet, ValuePairs
from segxfer3d.errors import InputError

_PAIR = re.compile(r"\s*(-?\d+)\s*:\s*(-?\d+)\s*")


def value_pairs(text: str) -> ValuePairs:
    """What ``label_map`` says: value in the files, value that it stands for.

    Raises:
        InputError: no pairs of whole numbers, or two meanings of one value.

    Example:
        >>> value_pairs("255:1, 128:2")
        ((255, 1), (128, 2))
    """
    pairs: dict[int, int] = {}
    for part in text.split(",") if text.strip() else []:
        match = _PAIR.fullmatch(part)
        if not match:
            raise InputError(
                f"label_map {text!r}: expected pairs of whole numbers, the value in the files and the one that it "
                "stands for, such as 255:1 or 64:1,128:2"
            )
        value, target = int(match.group(1)), int(match.group(2))
        if pairs.setdefault(value, target) != target:
            raise InputError(f"label_map {text!r}: {value} stands for {pairs[value]} and for {target}")
    return tuple(pairs.items())


def mapped(array: NDArray[Any], pairs: ValuePairs) -> NDArray[Any]:
    """The values of a label with those of the pairs replaced, all at once; the array itself where there are none."""
    if not pairs:
        return array
    kind = array.dtype
    if kind.kind in "biu":
        kind = np.result_type(np.uint8 if kind.kind == "b" else kind, *(np.min_scalar_type(to) for _, to in pairs))
    result = array.astype(kind, copy=True)
    for value, target in pairs:
        result[array == value] = target
    return result


def with_label_map(case_set: CaseSet, pairs: ValuePairs) -> CaseSet:
    """A data set whose labels are read with values replaced; names of classes go with their values.

    Raises:
        InputError: a value stands for one that is no class of the data set.
    """
    if not pairs:
        return case_set
    rule, said = case_set.label_rule, dict(pairs)
    classes = case_set.classes if case_set.regions else _renamed(case_set.classes, said)
    ignore = tuple(dict.fromkeys(said.get(value, value) for value in rule.ignore))
    ignore = tuple(value for value in ignore if value and value not in classes)
    known = {0, *(case_set.values if case_set.regions else classes), *ignore}
    if case_set.dims == 2:
        known |= {*rule.foreground, *(rule.background or ())}
    if strange := [f"{value}:{target}" for value, target in pairs if target not in known]:
        named = ", ".join(f"{value} {name}" for value, name in classes.items())
        raise InputError(
            f"label_map {strange[0]}: expected 0 (background) or a class of the data set ({named}); the labels of a "
            "dataset.json name more"
        )
    foreground = tuple(classes) if case_set.dims == 3 or rule.several else rule.foreground
    return replace(
        case_set,
        cases=tuple(_with_pairs(case, said) for case in case_set.cases),
        classes=classes,
        label_rule=replace(rule, foreground=foreground, ignore=ignore),
    )


def _renamed(classes: Mapping[int, str], said: Mapping[int, int]) -> dict[int, str]:
    """Value to name: a class keeps its name, and one whose value stands for another brings it there if none is."""
    names = {value: name for value, name in classes.items() if value not in said}
    for value, name in classes.items():
        if said.get(value):
            names.setdefault(said[value], name)
    return dict(sorted(names.items())) or dict(classes)


def _with_pairs(case: Case, said: Mapping[int, int]) -> Case:
    """A case that may have pairs of its own, which come first."""
    pairs = {value: said.get(target, target) for value, target in case.label_map}
    pairs |= {value: target for value, target in said.items() if value not in pairs}
    return replace(case, label_map=tuple(pairs.items()))
