"""Classes by the names that segmentations of 3D Slicer give their segments, whatever value a file has for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.io.segments import Segment, segments_of
from segxfer3d.errors import InputError, some

_NEAR = 0.85  # of two names: tumor and Tumour have 0.91, left and right of one organ less


def by_segments(case_set: CaseSet, *, declared: bool) -> CaseSet:
    """A data set whose ``.seg.nrrd`` labels are read by the names of their segments.

    Where the data set declares classes, a segment of such a name has the class's value. Where it does not and all
    labels name their segments, these are the classes: by their values if every file has the same for each, else counted
    from 1 in the order in which they come. Other labels stay as they are.

    Args:
        case_set: volumes.
        declared: whether the classes of the set are those of its ``dataset.json``.

    Raises:
        InputError: beside segments that are classes by their names, others that are none and have the value of one.
    """
    if case_set.regions:
        return case_set
    seen = {case.name: _seen(case.label) for case in case_set.cases if case.label is not None}
    named = {name: segments for name, segments in seen.items() if segments}
    if not named or not (declared or all(segments != () for segments in seen.values())):
        return case_set
    if not declared:
        classes = _classes_of(list(named.values()))
        notes = (*case_set.notes, *_alike(classes, list(named.values())))
        case_set = replace(case_set, classes=classes, label_rule=LabelRule(tuple(classes)), notes=notes)
    values = {name.casefold(): value for value, name in case_set.classes.items()}
    _refuse_strange(case_set, named, values)
    cases = (_with_names(case, named.get(case.name, ()), values) for case in case_set.cases)
    return replace(case_set, cases=tuple(cases))


def _seen(label: Path) -> tuple[Segment, ...] | None:
    """The segments of a file; None where it is damaged, which the check says of all such files at once."""
    try:
        return segments_of(label)
    except InputError:
        return None


def _classes_of(files: Sequence[Sequence[Segment]]) -> dict[int, str]:
    """Value to name."""
    pairs = dict.fromkeys((segment.name, segment.value) for segments in files for segment in segments)
    names = list(dict.fromkeys(name for name, _ in pairs))
    values = {value for _, value in pairs}
    if len(pairs) == len(names) == len(values) and 0 not in values:
        return dict(sorted((value, name) for name, value in pairs))
    return dict(enumerate(names, 1))


def _alike(classes: Mapping[int, str], files: Sequence[Sequence[Segment]]) -> list[str]:
    """Notes on classes that may be one in two spellings: their names differ by a letter or two, in no digit, and no
    file has both."""
    together = [{segment.name for segment in segments} for segments in files]
    return [
        f"the segments {one} and {other} are two classes, and no file has both; if they are one, --label_map "
        f"{second}:{first} makes them so"
        for (first, one), (second, other) in combinations(classes.items(), 2)
        if _near(one, other) and not any({one, other} <= names for names in together)
    ]


def _near(one: str, other: str) -> bool:
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return False
    return SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False).ratio() >= _NEAR


def _refuse_strange(
    case_set: CaseSet, named: Mapping[str, Sequence[Segment]], values: Mapping[str, int]
) -> None:  # by its value a segment would be read as a class that it is not
    known = {name.casefold() for segments in named.values() for name, *_ in segments} & values.keys()
    strange = [
        f"{name} in {case.label}"
        for case in case_set.cases
        for name, value, *_ in named.get(case.name, ())
        if known and name.casefold() not in values and value in values.values()
    ]
    if strange:
        raise InputError(
            f"{case_set.root}: segments that are no class: {some(strange, 10, ', ')}; expected "
            f"{some(case_set.classes.values(), 10, ', ')}"
        )


def _with_names(case: Case, segments: Sequence[Segment], values: Mapping[str, int]) -> Case:
    """A case with the value of every segment that is called as a class is."""
    known = [
        (segment.value, values[segment.name.casefold()]) for segment in segments if segment.name.casefold() in values
    ]
    if all(value == target for value, target in known):
        return case
    return replace(case, label_map=tuple(known))
