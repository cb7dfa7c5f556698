"""A table as Markdown and as LaTeX; names cannot break out of their cells."""

from __future__ import annotations

import re
from typing import Any

from segxfer3d.report.table import Table


def markdown(table: Table) -> str:
    """A table in Markdown; names cannot break out of their cell."""

    def cell(value: Any) -> str:
        text = one_line(str(value)).replace("\\", "\\\\")
        return text.replace("|", "\\|").replace("<", "&lt;").strip()

    lines = [[cell(name) for name in table.columns], ["---"] * len(table.columns)]
    lines += [[cell(value) for value in row] for row in table.rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(title: str, table: Table) -> str:
    """A table in LaTeX (package booktabs), with its title as caption."""
    lines = [" & ".join(_latex(str(cell).strip()) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    form = "l" * len(table.columns)
    return (
        f"\\begin{{table}}\n\\caption{{{_latex(title)}}}\n\\begin{{tabular}}{{{form}}}\n{body}\n"
        "\\end{tabular}\n\\end{table}\n"
    )


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
