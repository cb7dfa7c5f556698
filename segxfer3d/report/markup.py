"""A table as Markdown and as LaTeX; names cannot break out of their cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown; names cannot break out of their cell."""

    def cell(value: Any) -> str:
        text = one_line(str(value)).replace("\\", "\\\\")
        return text.replace("|", "\\|").replace("<", "&lt;").strip()

    lines = [[cell(name) for name in table.columns], ["---"] * len(table.columns)]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(title: str, table: pd.DataFrame) -> str:
    """A table in LaTeX (package booktabs), with its title as caption."""
    escaped = table.rename(columns=lambda name: _latex(str(name).strip())).map(lambda value: _latex(str(value)))
    body = escaped.to_latex(index=False, escape=False, column_format="l" * len(table.columns))
    return f"\\begin{{table}}\n\\caption{{{_latex(title)}}}\n{body}\\end{{table}}\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$",
    "–": "--", "\n": " ",
}  # fmt: skip


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)  # a minus sign, not a hyphen


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())
