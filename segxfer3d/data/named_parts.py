"""From the names of a split file to cases: all that is wrong with them is said at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.split_file import Names, SplitFile
from segxfer3d.errors import InputError, some

MEASURED = ("train", "validation", "test")  # no case, and no patient, is in two of them
FIRST_CHANNEL = "_0000"  # behind a case's name in the files of nnU-Net
_SHOWN = 10


def name_cases(file: SplitFile, cases: Sequence[Case], *, labels: bool) -> tuple[dict[str, set[str]], ...]:
    """The names of the cases of each part, for each split of a file.

    A name is of a case or of a patient, as the file says; else of cases where all its names are, of patients where all
    are, and of a mixture a patient goes before a case. Names of files are understood, too. A patient means all of his
    cases; where labels are needed, those that have one.

    Args:
        file: that was read.
        cases: all of the data set, labeled or not.
        labels: who trains, validates or is tested needs a label.

    Raises:
        InputError: names that nobody has, who is named twice or in two parts, patients in two of train, validation and
            test or pretraining on what is validated or tested, and cases without a label; all at once.
    """
    unlabeled = {case.name for case in cases if case.label is None} if labels else set()
    lookup = _Lookup(file, cases, unlabeled)
    problems: dict[str, dict[str, None]] = {}  # what is wrong -> who, each once
    named = []
    for number, parts in enumerate(file.splits):
        where = f"fold {number}: " if file.folded else ""
        of_part: dict[str, set[str]] = {}
        for part, names in parts.items():
            found = [case for name in names for case in lookup.find(name, part)]
            of_part[part] = set(found)
            _note(problems, "no case or patient is called so", (n for n in names if not lookup.find(n, part)))
            twice = [name for name, count in Counter(found).items() if count > 1]
            _note(problems, "named twice", (f"{where}{name} ({part})" for name in sorted(twice)))
            if part != "pretrain":
                _note(problems, "without a label", sorted(of_part[part] & unlabeled))
        doubled = _doubled(of_part)
        _note(problems, "in two parts", (f"{where}{name} ({', '.join(where_)})" for name, where_ in doubled.items()))
        parted = _parted(of_part, lookup.patients, doubled)
        _note(problems, "patients in two parts", (f"{where}{who} ({', '.join(w)})" for who, w in parted.items()))
        named.append(of_part)
    if problems:
        listed = "\n".join(f"  {what}: {some(who, _SHOWN, ', ')}" for what, who in problems.items())
        raise InputError(f"split_file {file.path} does not fit the data:\n{listed}")
    return tuple(named)


def twice_tested(named: Sequence[Mapping[str, set[str]]]) -> list[str]:
    """The cases that more than one fold tests."""
    counts = Counter(name for parts in named for name in parts.get("test", ()))
    return sorted(name for name, count in counts.items() if count > 1)


class _Lookup:
    """Finds the cases that a name means; ``unlabeled`` are those that only pretrain."""

    def __init__(self, file: SplitFile, cases: Sequence[Case], unlabeled: Set[str]) -> None:
        self.unlabeled = unlabeled
        self.cases = {case.name for case in cases}
        self.patients = {case.name: case.patient for case in cases}
        self.of_patient: dict[str, list[str]] = {}
        for case in cases:
            self.of_patient.setdefault(case.patient, []).append(case.name)
        names: set[str] = {name for parts in file.splits for listed in parts.values() for name in listed}
        self.unit = file.unit
        if not self.unit and all(self._case(name) for name in names):
            self.unit = "case"

    def find(self, name: str, part: str) -> Names:
        """The names of the cases for a part; none where nobody is called so, all of a patient who has no label."""
        if self.unit != "case" and name in self.of_patient:
            whole = tuple(self.of_patient[name])
            return whole if part == "pretrain" else tuple(n for n in whole if n not in self.unlabeled) or whole
        if self.unit == "patient":
            return ()
        found = self._case(name)
        return (found,) if found else ()

    def _case(self, name: str) -> str:
        """A case by its name, or by that of its file; empty where there is none."""
        file = Path(name)
        plain = volume_name(file) or file.stem
        tried = (name, name + FIRST_CHANNEL, plain, plain + FIRST_CHANNEL)
        return next((each for each in tried if each in self.cases), "")


def _note(problems: dict[str, dict[str, None]], what: str, who: object) -> None:
    if listed := dict.fromkeys(who):  # type: ignore[call-overload]
        problems.setdefault(what, {}).update(listed)


def _doubled(of_part: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Cases in two parts that exclude each other; pretraining and training do not."""
    found: dict[str, list[str]] = {}
    for name in sorted(set().union(*of_part.values())):
        parts = [part for part in MEASURED if name in of_part.get(part, ())]
        if name in of_part.get("pretrain", ()):
            parts = ["pretrain", *(part for part in parts if part != "train")]
        if len(parts) > 1:
            found[name] = parts
    return found


def _parted(
    of_part: Mapping[str, set[str]], patients: Mapping[str, str], doubled: Mapping[str, object]
) -> dict[str, list[str]]:
    """Patients whose cases are in parts that exclude each other; those of doubled cases are named already."""
    known = {patients[name] for name in doubled}
    whose = {part: {patients[name] for name in names} - known for part, names in of_part.items()}
    return {who: parts for who, parts in _doubled(whose).items() if len(parts) > 1}
