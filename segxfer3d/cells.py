"""Cells and columns of the tables that are written: no spreadsheet runs them, and no two have one name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_RUNS = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet takes for a formula


def cell_text(value: Any) -> Any:
    """A cell that no spreadsheet runs: text that begins as a formula does gets an apostrophe before it.

    Numbers are left as they are. :func:`cell_name` takes the apostrophe away. The rule is that of OWASP's "CSV
    Injection".

    Example:
        >>> cell_text("=1+1"), cell_text(-1.5), cell_text("case01")
        ("'=1+1", -1.5, 'case01')
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_RUNS) and not _is_number(value) else value


def cell_name(text: str) -> str:
    """The text of a cell that :func:`cell_text` wrote."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_RUNS) else text


def class_column(measure: str, ends: Sequence[str] = ("std",)) -> str:
    """What a measure is called beside statistics of others: a class called ``low`` is not the end of an interval.

    Args:
        measure: such as ``dice_<class>``.
        ends: what the statistics of a measure have behind its name and an underscore; those of ``cases_summary.json``.

    Example:
        >>> [class_column(name, ("std", "low")) for name in ("dice", "dice_liver", "dice_low", "dice_tumor_std")]
        ['dice', 'dice_liver', 'dice_low_class', 'dice_tumor_std_class']
    """
    return f"{measure}_class" if _like_statistic(measure, "*", ends) else measure


def class_measure(column: str, ends: Sequence[str] = ("std",)) -> str:
    """The measure that :func:`class_column` called so."""
    return column.removesuffix("_class") if _like_statistic(column, "+", ends) else column


def _like_statistic(name: str, times: str, ends: Sequence[str]) -> bool:
    """Whether a name ends like a statistic, and then so many times in ``_class``, so that any name can be undone."""
    return re.search(f"_({'|'.join(ends)})(_class){times}$", name) is not None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
