"""What "labels" of a ``dataset.json`` says, in the form of the Medical Segmentation Decathlon or of nnU-Net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from segxfer3d.data.case import CaseSet, LabelRule, Regions
from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

IGNORED = "ignore"  # what nnU-Net calls voxels and pixels that neither train nor count
BACKGROUND = "background"


def is_ignored(name: str) -> bool:
    """Whether a class is none: what it marks neither trains nor counts."""
    return name.strip().casefold() == IGNORED


def classes_of(labels: Mapping[str, Any]) -> dict[int, str]:
    """Value to name of the foreground classes, in rising order; Decathlon has {"1": "name"}, nnU-Net {"name": 1}.

    Raises:
        ValueError: no names and values, a name or a value is there twice, or the background is not 0.
    """
    _refuse_others(labels)
    if twice := getattr(labels, "twice", ()):
        raise ValueError(f"two classes are called {twice[0]}")
    whole = all(isinstance(value, int) for value in labels.values())
    if labels and (whole or (all(map(_is_number, labels.values())) and not all(map(_is_number, labels)))):
        names: dict[int, str] = {}
        for name, value in ((one_form(str(name)), int(value)) for name, value in labels.items()):
            if names.setdefault(value, name) != name:
                raise ValueError(f"two classes, {names[value]} and {name}, have the value {value}")
    else:
        names = {int(value): one_form(str(name)) for value, name in labels.items()}
    for value, name in names.items():
        if value and name.strip().casefold() == BACKGROUND:
            raise ValueError(f"the background is {value}; expected 0")
    return {value: names[value] for value in sorted(names) if value != 0} or {1: "foreground"}


def _refuse_others(labels: object) -> None:
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels are {str(labels)[:60]}, which is no object of names and values")


def _is_number(value: Any) -> bool:
    """Whether it is a whole number, perhaps as text."""
    return isinstance(value, int) or (isinstance(value, str) and value.strip().removeprefix("-").isdecimal())


class Declared(NamedTuple):
    """What the labels of volumes mean.

    Attributes:
        classes: label value to name.
        rule: says which values neither train nor count: nnU-Net's "ignore", which is no class.
        regions: see :attr:`~segxfer3d.data.case.CaseSet.regions`.
    """

    classes: dict[int, str]
    rule: LabelRule
    regions: Regions = ()

    @property
    def masks(self) -> dict[int, str]:
        """Value to name of all that may have a file of its own: the classes, and what is ignored."""
        return {**self.classes, **dict.fromkeys(self.rule.ignore, IGNORED)}


NOTHING = Declared({}, LabelRule())  # what is said where there is no such file


def classes_of_volumes(labels: Mapping[str, Any], order: Any = None) -> Declared:
    """The classes of volumes, or the regions (classes that are lists of values).

    Args:
        labels: the entry "labels".
        order: of regions the entry "regions_class_order": the value that each is written as, in their order.

    Raises:
        ValueError: names or values that are there twice; regions without values of their own, or without a value that
            they are written as.
    """
    _refuse_others(labels)
    if any(isinstance(value, list) for value in labels.values()):
        return _regions_of(labels, order)
    known = classes_of(labels)
    classes = {value: name for value, name in known.items() if not is_ignored(name)}
    return Declared(classes, LabelRule(tuple(classes), ignore=tuple(known.keys() - classes.keys())))


def _regions_of(labels: Mapping[str, Any], order: Any) -> Declared:
    if twice := getattr(labels, "twice", ()):
        raise ValueError(f"two regions are called {twice[0]}")
    values = {one_form(name): value if isinstance(value, list) else [value] for name, value in labels.items()}
    if odd := [name for name, part in values.items() if not all(map(_is_number, part))]:
        raise ValueError(f"the region {odd[0]} is of the labels {values[odd[0]]}; expected their values")
    known = {name: tuple(map(int, part)) for name, part in values.items()}
    ignore = tuple(value for name, part in known.items() if is_ignored(name) for value in part)
    parts = {name: part for name, part in known.items() if part != (0,) and not is_ignored(name)}
    if not isinstance(order, list) or len(order) != len(parts) or len(set(order)) < len(order):
        raise ValueError(
            f"regions_class_order {order}: expected {len(parts)} different values, one for each region "
            f"({', '.join(parts)})"
        )
    regions = []
    for value, (name, part) in zip(order, parts.items(), strict=True):
        if not part or {0, *ignore} & set(part):
            raise ValueError(f"the region {name} is of the labels {list(part)}; expected its classes, none of them 0")
        if value not in part:
            raise ValueError(f"the region {name} is written as {value}, which is none of its labels {list(part)}")
        regions.append((int(value), part))
    classes = {value: name for (value, _), name in zip(regions, parts, strict=True)}
    return Declared(dict(sorted(classes.items())), LabelRule(tuple(sorted(classes)), ignore=ignore), tuple(regions))


def without_ignored(case_set: CaseSet) -> CaseSet:
    """Volumes of which a mask or a segment that is called "ignore" is no class.

    Raises:
        InputError: there is no other class.
    """
    ignored = [value for value, name in case_set.classes.items() if is_ignored(name)]
    if case_set.dims == 2 or not ignored:
        return case_set
    classes = {value: name for value, name in case_set.classes.items() if value not in ignored}
    if not classes:
        raise InputError(f"dataset_dir {case_set.root}: no class but {IGNORED}")
    ignore = tuple(dict.fromkeys((*case_set.label_rule.ignore, *ignored)))
    rule = replace(case_set.label_rule, foreground=tuple(classes), ignore=ignore)
    return replace(case_set, classes=classes, label_rule=rule)
