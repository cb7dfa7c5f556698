"""Whether the trainings of a study saw the same data: files may change while it goes on, or between two days of it.

Names and sizes of files are part of what a trial is. Here what they hold is compared, by what each run keeps of it
(``made_from.json``, see :mod:`segxfer3d.run.made_from`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.errors import InputError, some
from segxfer3d.files import digest
from segxfer3d.study.trials import Trial

MADE_FROM = "made_from.json"
# trials that differ in these alone are made from the same cases
_DRAWS = ("seed", "label_count", "label_fraction", "init", "checkpoint", "fold", "folds", "split_seed")


def refuse_other_data(trials: Sequence[Trial], folder: Path) -> None:
    """Refuse a study of which some trainings saw other values than others.

    Args:
        trials: of the study; those that are there and keep what they were made from are compared.
        folder: of the study.

    Raises:
        InputError: which cases, and of which trials.
    """
    first: dict[str, tuple[Trial, Mapping[str, Any]]] = {}
    wrong = []
    for trial in trials:
        cases = _cases(folder / trial.folder / MADE_FROM)
        if not cases:
            continue
        other, known = first.setdefault(_kind(trial), (trial, cases))
        if changed := list(_changed(known, cases)):
            wrong.append(f"{trial.folder}: {some(changed, 5, ', ')} not as in {other.folder}")
    if wrong:
        raise InputError(
            f"{folder}: its trainings saw different data, so they do not compare; bring the data back, delete the "
            f"folders of those that saw others, and run it again:\n  {some(wrong, 5, chr(10) + '  ')}"
        )


def _kind(trial: Trial) -> str:
    return digest([trial.kind, {name: value for name, value in trial.knobs.items() if name not in _DRAWS}])


def _cases(path: Path) -> Mapping[str, Any]:
    """Of a run; nothing where an earlier version kept nothing, or it cannot be read: its own resume says so."""
    try:
        cases = documents.own(path).get("cases")
    except InputError:
        return {}
    return cases if isinstance(cases, dict) else {}


def _changed(known: Mapping[str, Any], cases: Mapping[str, Any]) -> Iterable[str]:
    return (name for name in sorted(known.keys() | cases.keys()) if known.get(name) != cases.get(name))
