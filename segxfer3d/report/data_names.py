"""What the data set of a run is called, where no study names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segxfer3d.report.run_files import Run
from segxfer3d.report.same_data import kept
from segxfer3d.study.same_data import MADE_FROM

_DIGITS = 8  # of a fingerprint, as a record has it


@dataclass
class _Folder:
    """What the fine-tunings in a folder of one name are of: names of cases, and those with what their images hold."""

    cases: set[str] = field(default_factory=set)
    images: set[tuple[str, str]] = field(default_factory=set)

    def holds(self, other: _Folder) -> bool:
        """Whether any of it is the other's, too; names alone count where runs of earlier versions kept no more."""
        if self.images and other.images:
            return not self.images.isdisjoint(other.images)
        return not self.cases.isdisjoint(other.cases)


def with_data(runs: Sequence[Run]) -> list[Run]:
    """Runs with the name of their data: ``dataset``, or the name of ``dataset_dir``, with the target.

    Of a format that several data sets have (``decathlon``), the name of the folder stands behind it, where fine-tunings
    are of several. Folders of other names with the same cases are one data set, called as the first of them.

    Args:
        runs: with their ``run.json``.
    """
    folders: dict[str, dict[str, _Folder]] = {}
    for run in runs:
        if run.kind == "finetune" and run.knobs.get("dataset"):
            place = folders.setdefault(str(run.knobs["dataset"]), {}).setdefault(_folder(run), _Folder())
            place.cases |= {case for part in run.split.values() if isinstance(part, list) for case in map(str, part)}
            place.images |= _images(run)
    told = {name: _told(of_name) for name, of_name in folders.items()}
    return [replace(run, data=_name(run, told.get(str(run.knobs.get("dataset")), {}))) for run in runs]


def _name(run: Run, told: dict[str, str]) -> str:
    folder = _folder(run)
    dataset = str(run.knobs.get("dataset") or "")
    words = " ".join(word for word in (dataset, told.get(folder, "")) if word) or folder
    target = run.knobs.get("target")
    return f"{words}, {target}" if target else words


def _folder(run: Run) -> str:
    return Path(str(run.knobs.get("dataset_dir") or "generated")).name


def _images(run: Run) -> set[tuple[str, str]]:
    cases = kept(run, MADE_FROM, {}).get("cases")
    return {
        (case, str(values[0])[:_DIGITS])
        for case, values in (cases.items() if isinstance(cases, dict) else ())
        if isinstance(values, list) and values and values[0]
    }


def _told(folders: dict[str, _Folder]) -> dict[str, str]:
    """Name of a folder to that of the data set it is told by; nothing where all are one."""
    sets: list[dict[str, _Folder]] = []
    for name, folder in folders.items():
        same = [one for one in sets if any(folder.holds(other) for other in one.values())]
        sets = [one for one in sets if one not in same]
        joined: dict[str, _Folder] = {}
        for one in same:
            joined |= one
        sets.append({**joined, name: folder})
    return {name: next(iter(one)) for one in sets for name in one} if len(sets) > 1 else {}
