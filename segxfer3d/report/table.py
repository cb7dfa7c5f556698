"""A table: names of columns and rows of cells. No more is needed of one, and pandas takes longer to import."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segxfer3d.cells import cell_text


@dataclass(frozen=True)
class Table:
    """Columns and rows.

    Attributes:
        columns: their names; two that look alike differ by a space at the end.
        rows: cells in the order of the columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Table:
        """From rows that name their cells; a cell that a row lacks is None.

        Args:
            rows: name of the column -> cell.
            columns: the first ones, also where no row is; others follow as they come.
        """
        names = tuple(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
        return cls(names, tuple(tuple(row.get(name) for name in names) for row in rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __getitem__(self, column: str) -> list[Any]:
        """The cells of a column."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def csv(self) -> str:
        """As CSV; None and what is not a number are empty cells."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(
            [["" if cell is None or cell != cell else cell_text(cell) for cell in row] for row in self.rows]
        )
        return text.getvalue()
