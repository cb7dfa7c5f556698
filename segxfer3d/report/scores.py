"""The scores of a run, read from the table of its cases."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from segxfer3d.errors import InputError
from segxfer3d.statistics.excel import plain_csv
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
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = list(reader.fieldnames or ())
    rows = list(reader)
    lacking = [name for name in ("case", "patient", measure) if name not in names]
    if lacking:
        raise InputError(f"{file}: no column {', '.join(lacking)}; it has {', '.join(names or ['none'])}")
    if not rows:
        raise InputError(f"{file}: no case in it, expected a row for each")
    scores = []
    for row in rows:
        try:
            value = float(row[measure])
        except (TypeError, ValueError):
            raise InputError(f"{file}: {measure} of case {row['case']} is {row[measure]!r}, no number") from None
        scores.append(Score(arm, budget, seed, row["case"], row["patient"], value))
    return scores
