"""Cells of the tables that are written: no spreadsheet runs them."""

from __future__ import annotations

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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
