"""The scores of a run, read from the table of its cases."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.cells import cell_name, class_measure
from segxfer3d.errors import InputError
from segxfer3d.spreadsheets import plain_csv
from segxfer3d.statistics.scores import Score


def read_scores(file: Path | str, arm: str, budget: float, seed: int, measure: str = "dice") -> list[Score]:
    """The scores of one run, from the ``cases.csv`` in its folder.

    Args:
        file: a CSV file with the columns ``case``, ``patient`` and ``measure``.
        arm, budget, seed: what the run was.
        measure: the column that is compared.

    Raises:
        InputError: no such file, no row, a missing column, or a value that is no number.
    """
    try:
        text = plain_csv(Path(file).read_bytes().decode("utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error})") from error
    return scores_of(text, arm, budget, seed, measure, file=str(file))


def scores_of(text: str, arm: str, budget: float, seed: int, measure: str = "dice", *, file: str) -> list[Score]:
    """As :func:`read_scores`, of the text of ``file``."""
    return all_scores(text, Score(arm, budget, seed, "", "", 0.0), [measure], file=file)[measure]


def all_scores(
    text: str, like: Score, measures: Sequence[str], *, file: str, factor: float = 1.0, classes: bool = False
) -> dict[str, list[Score]]:
    """The scores of one run by measure, from the text of its ``cases.csv``.

    Args:
        text: of the file.
        like: a score of that run.
        measures: columns that have to be there.
        file: its name, for errors.
        factor: that values are multiplied by.
        classes: with the columns ``dice_<class>`` and ``iou_<class>`` that have a number for each case.

    Raises:
        InputError: no row, a missing column, or a value that is no number.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = list(reader.fieldnames or ())
    rows = [{name: cell_name(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in reader]
    lacking = [name for name in ("case", "patient", *measures) if name not in names]
    if lacking:
        raise InputError(f"{file}: no column {', '.join(lacking)}; it has {', '.join(names or ['none'])}")
    if not rows:
        raise InputError(f"{file}: no case in it, expected a row for each")
    found = {}
    for measure in measures:
        numbers = _numbers(rows, measure)
        if bad := [row for row, number in zip(rows, numbers, strict=True) if number is None]:
            raise InputError(f"{file}: {measure} of case {bad[0]['case']} is {bad[0][measure]!r}, no number")
        found[measure] = numbers
    for name in names if classes else ():
        if name.startswith(("dice_", "iou_")):
            numbers = _numbers(rows, name)
            if all(number is not None and math.isfinite(number) for number in numbers):
                found[name] = numbers
    run = (like.arm, like.budget, like.seed)
    return {
        measure: [
            Score(*run, row["case"], row["patient"], factor * number, like.pretraining)
            for row, number in zip(rows, numbers, strict=True)
            if number is not None
        ]
        for measure, numbers in found.items()
    }


def class_columns(summary: Mapping[str, Any]) -> dict[str, str]:
    """Names of the means of classes in a ``cases_summary.json`` to their measures, as a table of cases has them."""
    columns = [name for name in summary if name.startswith(("dice_", "iou_")) and not name.endswith("_std")]
    return {name: class_measure(name) for name in columns}


def _numbers(rows: Sequence[Mapping[str, str]], name: str) -> list[float | None]:
    """A column; None for what is no number."""
    numbers: list[float | None] = []
    for row in rows:
        try:
            numbers.append(float(row[name]))
        except (TypeError, ValueError):
            numbers.append(None)
    return numbers
