"""The table of a cross-validation: every case once, as the training of its fold measured it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segxfer3d import documents, files
from segxfer3d.cells import cell_name
from segxfer3d.errors import InputError, some
from segxfer3d.evaluation.lesions import lesion_summary
from segxfer3d.evaluation.metrics import genesis_iou_of, summarize
from segxfer3d.evaluation.soft_dice import SoftSums, pooled_figures
from segxfer3d.spreadsheets import plain_csv

CASES, SUMMARY = "cases.csv", "cases_summary.json"
LESION_CASES, LESIONS = "lesion_cases.csv", "lesions.csv"
POOLED = "cases_pooled.json"
FOLDS = "folds.json"
MODEL = "model.pt"
_TEXTS = ("case", "patient", "class", "fold")

Row = dict[str, Any]


@dataclass(frozen=True)
class FoldTable:
    """What the folds measured, together.

    Attributes:
        rows: a row for each case, with the fold that tested it, sorted by case.
        summary: means over cases as :func:`~segxfer3d.evaluation.metrics.summarize` gives them, means over patients
            (``patient_dice``, ``patient_iou``, each the mean over patients of the mean of a patient's cases, with their
            ``_std``), what was found of the lesions, and the figures of all voxels together (``pooled_dice``,
            ``genesis_dice``, ``genesis_iou``) as a single table of these cases would have them; where a training of an
            earlier version did not keep what these are made of, they are not among them.
        lesion_cases, lesions: rows of the lesions, where they were measured.
    """

    rows: list[Row]
    summary: dict[str, Any]
    lesion_cases: list[Row]
    lesions: list[Row]

    def files(self) -> dict[str, Any]:
        """File name to rows (CSV) or a dictionary (JSON), as :class:`~segxfer3d.evaluation.tables.CaseTable` has it."""
        contents: dict[str, Any] = {CASES: self.rows, SUMMARY: self.summary}
        if self.lesion_cases:
            contents[LESION_CASES] = self.lesion_cases
        if self.lesions:
            contents[LESIONS] = self.lesions
        return contents


def join_folds(runs: Sequence[Path]) -> FoldTable:
    """Put the tables of the folds together.

    Args:
        runs: folders of the trainings, in the order of their folds.

    Raises:
        InputError: a table that is missing or damaged, or cases that several folds tested.
    """
    rows, lesion_cases, lesions = (_rows(runs, name) for name in (CASES, LESION_CASES, LESIONS))
    names = [row["case"] for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{runs[0].parent}: several folds tested {some(twice, 10, ', ')}; expected each case once")
    there = {row["fold"] for row in rows}
    if lacking := [run.name for number, run in enumerate(runs) if number not in there]:
        raise InputError(f"{runs[0].parent}: no case in the table of {some(lacking, 5, ', ')}")
    plain = [{name: value for name, value in row.items() if name != "fold"} for row in rows]
    summary = summarize(plain) | _over_patients(plain) | _pooled(runs, names)
    if lesion_cases:
        summary |= lesion_summary(lesion_cases, lesions)
    return FoldTable(rows, summary, lesion_cases, lesions)


def write_folds(folder: Path, runs: Sequence[Path], *, planned_from: str = "") -> FoldTable:
    """Write the table of the folds, and where their models are, into the folder of a cross-validation.

    Args:
        folder: to write to.
        runs: folders below it, in the order of their folds.
        planned_from: what the one plan of all folds was made from, in words, for the summary; empty where each has its
            own, or none.

    Raises:
        InputError: as :func:`join_folds`, or a file that cannot be written.
    """
    table = join_folds(runs)
    if planned_from:
        table.summary["planned_from"] = planned_from
    for name, content in table.files().items():
        write: Any = files.write_rows if name.endswith(".csv") else files.write_json
        write(folder / name, content)
    models = [(run / MODEL).relative_to(folder).as_posix() for run in runs]
    files.write_json(folder / FOLDS, {"folds": len(runs), "models": models})
    return table


def _pooled(runs: Sequence[Path], cases: Sequence[str]) -> dict[str, float]:
    """The figures of all voxels of these cases, in this order; none where a run does not keep what they are made of."""
    if not all((run / POOLED).is_file() for run in runs):
        return {}
    sums: dict[str, SoftSums] = {}
    voxels = []
    for path in (run / POOLED for run in runs):
        content = documents.own(path)
        sums |= {str(case): SoftSums(*map(float, each)) for case, each in content["cases"].items()}
        voxels.append(np.array(content["voxels"], dtype=np.int64))
    if lacking := [case for case in cases if case not in sums]:
        raise InputError(f"{runs[0].parent}: no sums of {some(lacking, 5, ', ')} in {POOLED}; train its fold again")
    return pooled_figures([sums[case] for case in cases]) | {"genesis_iou": genesis_iou_of(np.sum(voxels, axis=0))}


def _rows(runs: Sequence[Path], name: str) -> list[Row]:
    rows: list[Row] = []
    for fold, run in enumerate(runs):
        path = run / name
        if not path.is_file() and name != CASES:
            continue
        try:
            text = plain_csv(path.read_bytes().decode("utf-8"))
            rows += [{**_numbers(row), "fold": fold} for row in csv.DictReader(io.StringIO(text, newline=""))]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
    return sorted(rows, key=lambda row: str(row["case"]))


def _numbers(row: Mapping[str, str]) -> Row:
    return {name: cell_name(value) if name in _TEXTS else _number(value) for name, value in row.items()}


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _over_patients(rows: Sequence[Row]) -> dict[str, float]:
    """Mean over patients of the mean of each patient's cases, and the sample's standard deviation."""
    found: dict[str, float] = {}
    for measure in ("dice", "iou"):
        of_patient: dict[str, list[float]] = {}
        for row in rows:
            of_patient.setdefault(row["patient"], []).append(row[measure])
        means = np.array([np.mean(values) for values in of_patient.values()])
        found[f"patient_{measure}"] = float(means.mean())
        found[f"patient_{measure}_std"] = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    return found
