"""A file that says who is in which part: JSON or a table, one split or folds.

JSON is one of::

    {"train": [...], "validation": [...], "test": [...]}         one split; a run's own split.json is one
    {"folds": [[...], [...], ...]}                               folds: each is tested once, all others train
    [{"train": [...], "val": [...]}, ...]                        folds, as nnU-Net's splits_final.json has them

of names of cases or of patients. Where an entry of the last form has no "test", its "val" is what the fold tests, as in
nnU-Net's cross-validation. A table has a column ``case`` or ``patient``, and a column ``part`` or ``fold``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.cells import cell_name
from segxfer3d.errors import InputError, some
from segxfer3d.schema.kinds import NAMES, first_problem, shown
from segxfer3d.schema.parsing import parse
from segxfer3d.spelling import one_form
from segxfer3d.spreadsheets import SEPARATORS, decoded, plain_csv

Names = tuple[str, ...]
# a part, by all that files call it
PARTS = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "test": "test", "testing": "test", "pretrain": "pretrain", "pretraining": "pretrain",
}  # fmt: skip
_TABLES = (".csv", ".tsv", ".txt")
_SPREADSHEETS = (".xlsx", ".xls", ".ods")
_BESIDE = ("unit", "fold", "folds")  # of a run's own split.json
_EXPECTED = (
    'expected {"train": [...], "validation": [...], "test": [...]}, {"folds": [[...], ...]}, or a list of '
    '{"train": [...], "val": [...]}, of names of cases or patients'
)


@dataclass(frozen=True)
class SplitFile:
    """What a file says, nothing of it compared with any data yet.

    Attributes:
        path: of the file.
        splits: part to names; one for each fold, or one alone.
        folded: whether it has folds.
        unit: ``patient`` or ``case`` where the file says what it names, else empty.
    """

    path: Path
    splits: tuple[Mapping[str, Names], ...]
    folded: bool
    unit: str = ""

    def of_fold(self, fold: int | None, folds: int | None = None) -> Mapping[str, Names]:
        """The split that is meant.

        Args:
            fold: which, counted from 0; None for a file with one split.
            folds: how many there should be, where that was said.

        Raises:
            InputError: a fold that the file does not have, or none where it has some.
        """
        number = len(self.splits)
        if not self.folded:
            if fold is not None:
                raise InputError(f"fold {fold}: split_file {self.path} has one split and no folds; expected no fold")
            return self.splits[0]
        if folds is not None and folds != number:
            raise InputError(f"folds {folds}: split_file {self.path} has {number}; expected {number}, or none")
        if fold is None:
            raise InputError(
                f"fold: which of the {number} folds of split_file {self.path}? Expected 0 to {number - 1}; "
                "segxfer3d cross runs all"
            )
        if not 0 <= fold < number:
            raise InputError(f"fold: expected 0 to {number - 1} (split_file {self.path}), got {fold}")
        return self.splits[fold]


def read_split_file(path: str | Path) -> SplitFile:
    """Read a split.

    Args:
        path: of JSON, or of a table (called ``.csv``, ``.tsv`` or ``.txt``) separated by commas, semicolons or tabs.

    Raises:
        InputError: no such file, or it is neither form.
    """
    path = Path(path)
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"split_file {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"split_file {path}: {_no_text(path)}") from error
    if "\0" in text:
        raise InputError(f"split_file {path}: {_no_text(path)}")
    if path.suffix.lower() in _TABLES and not text.lstrip().startswith(("{", "[")):
        return _of_table(path, plain_csv(text))
    try:
        content = parse(text)
    except ValueError as error:
        raise InputError(f"split_file {path}: {error}; tables are called {', '.join(_TABLES)}") from error
    return _of_json(path, content)


def _no_text(path: Path) -> str:
    if path.suffix.lower() in _SPREADSHEETS:
        return "a spreadsheet; expected it saved as CSV, called .csv"
    return "no text in UTF-8, or in UTF-16 with a byte order mark"


def _of_json(path: Path, content: Any) -> SplitFile:
    if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        splits = tuple(
            _as_tested(path, number, _parts(path, entry, f"fold {number}: ")) for number, entry in enumerate(content)
        )
        if len(splits) < 2:
            raise InputError(f"split_file {path}: {len(splits)} folds; expected at least two, or one object")
        return SplitFile(path, splits, folded=True)
    if isinstance(content, dict) and isinstance(content.get("folds"), (list, dict)):
        if strange := [key for key in content if key not in ("folds", "unit")]:
            raise InputError(f"split_file {path}: {some(strange, 5, ', ')} beside folds; expected folds alone")
        lists = content["folds"]
        named = _in_order(path, lists) if isinstance(lists, dict) else lists
        folds = [_names(path, names, f"fold {number}: ") for number, names in enumerate(named)]
        return SplitFile(path, _one_against_others(path, folds), folded=True, unit=_unit(path, content))
    if isinstance(content, dict):
        parts = _parts(path, {key: value for key, value in content.items() if key not in _BESIDE}, "")
        return SplitFile(path, (parts,), folded=False, unit=_unit(path, content))
    raise InputError(f"split_file {path}: {_EXPECTED}")


def _unit(path: Path, content: Mapping[str, Any]) -> str:
    unit = content.get("unit", "")
    if unit not in ("", "patient", "case"):
        raise InputError(f"split_file {path}: unit {shown(unit)}; expected patient or case")
    return str(unit)


def _parts(path: Path, entry: Any, where: str) -> dict[str, Names]:
    if not isinstance(entry, dict) or not entry:
        raise InputError(f"split_file {path}: {where}{_EXPECTED}")
    parts: dict[str, Names] = {}
    for key, value in entry.items():
        part = PARTS.get(str(key).lower())
        if part is None:
            raise InputError(
                f"split_file {path}: {where}no part is called {shown(key)}; expected train, validation, test"
            )
        if part in parts:
            raise InputError(f"split_file {path}: {where}two lists for the {part} part; expected one")
        parts[part] = _names(path, value, f"{where}{key}: ")
    if not parts.get("train"):
        raise InputError(f"split_file {path}: {where}nobody in the train part; expected at least one name")
    return parts


def _names(path: Path, value: Any, where: str) -> Names:
    if problem := first_problem(NAMES, value):
        raise InputError(f"split_file {path}: {where}expected a list of names ({problem})")
    return tuple(one_form(str(name)).strip() for name in value)


def _as_tested(path: Path, number: int, parts: dict[str, Names]) -> dict[str, Names]:
    """A fold that trains and validates is tested on what validates, as nnU-Net has it."""
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    if not parts.get("test"):
        raise InputError(f"split_file {path}: fold {number}: nobody in its val or test; expected at least one name")
    return parts


def _in_order(path: Path, lists: Mapping[str, Any]) -> list[Any]:
    """The folds of an object, by their numbers where they are called by numbers."""
    if not all(key.isdecimal() for key in lists):
        return list(lists.values())
    _check_numbers(path, [int(key) for key in lists])
    return [lists[key] for key in sorted(lists, key=int)]


def _check_numbers(path: Path, numbers: Iterable[int]) -> None:
    """Refuse numbers that ``--fold``, which counts from 0, would mean another fold by."""
    known = sorted(set(numbers))
    if len(known) > 1 and known != list(range(len(known))):
        raise InputError(
            f"split_file {path}: its folds are called {some(known, 10, ', ')}; expected 0 to {len(known) - 1}, as fold "
            "counts them"
        )


def _one_against_others(path: Path, folds: Sequence[Names]) -> tuple[dict[str, Names], ...]:
    if len(folds) < 2 or not all(folds):
        raise InputError(f"split_file {path}: expected two folds or more, each with somebody in it")
    whose: dict[str, list[int]] = {}
    for number, names in enumerate(folds):
        for name in names:
            whose.setdefault(name, []).append(number)
    if doubled := [f"{name} ({', '.join(map(str, where))})" for name, where in whose.items() if len(where) > 1]:
        raise InputError(f"split_file {path}: in more than one fold, or twice in one: {some(doubled, 10, ', ')}")
    return tuple(
        {"train": tuple(n for j, names in enumerate(folds) if j != i for n in names), "test": tested}
        for i, tested in enumerate(folds)
    )


def _of_table(path: Path, text: str) -> SplitFile:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    whose, what = ([n for n in header if n in pair] for pair in (("case", "patient"), ("part", "fold")))
    if len(whose) != 1 or len(what) != 1 or len(set(header)) < len(header):
        raise InputError(
            f"split_file {path}: the columns {', '.join(header) or 'none'}; expected one of case and patient, and "
            f"one of part and fold, no column twice (they are told apart by {', '.join(SEPARATORS.values())})"
        )
    reader.fieldnames = header
    read = list(reader)
    if longer := [f"line {line}" for line, row in enumerate(read, 2) if None in row]:
        raise InputError(f"split_file {path}: {some(longer, 10, ', ')}: more values than columns")
    rows = [(one_form(cell_name(str(row[whose[0]] or ""))).strip(), str(row[what[0]] or "").strip()) for row in read]
    if bad := [f"line {line}" for line, row in enumerate(rows, 2) if not all(row)]:
        raise InputError(f"split_file {path}: {some(bad, 10, ', ')}: a name or its {what[0]} is missing")
    if what[0] == "part":
        parts: dict[str, list[str]] = {}
        for name, part in rows:
            parts.setdefault(part, []).append(name)
        return SplitFile(path, (_parts(path, parts, ""),), folded=False, unit=whose[0])
    if strange := sorted({fold for _, fold in rows if not fold.isdecimal()}):
        raise InputError(f"split_file {path}: fold {some(strange, 5, ', ')}; expected whole numbers from 0")
    numbers = sorted({int(fold) for _, fold in rows})
    _check_numbers(path, numbers)
    folds = [tuple(name for name, fold in rows if int(fold) == number) for number in numbers]
    return SplitFile(path, _one_against_others(path, folds), folded=True, unit=whose[0])
