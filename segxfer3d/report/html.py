"""The HTML of a page: everything from the data is escaped, and only the page's own script may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

from segxfer3d.errors import InputError, installed_with
from segxfer3d.report.table import Table
from segxfer3d.version import __version__

try:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise InputError(f"a report needs jinja2: {installed_with('report')}") from error


def render(page: dict[str, Any]) -> str:
    """The page, from what it shows."""
    environment = Environment(
        loader=FunctionLoader(_packaged), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    script = _packaged("viewer.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        **page,
        css=Markup(_packaged("page.css")),
        script=Markup(script),
        script_hash=digest,
        version=__version__,
    )


def html_table(table: Table) -> Markup:
    """A table in HTML, every cell escaped; numbers to the right."""

    def row(cells: Iterable[Any], tag: str) -> Markup:
        fields = [Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), _align(cell), minus(str(cell))) for cell in cells]
        return Markup("<tr>{}</tr>").format(Markup("").join(fields))

    head = row([str(name).strip() for name in table.columns], "th")
    body = Markup("").join(row(cells, "td") for cells in table.rows)
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(head, body)


def _align(cell: Any) -> Markup:
    text = str(cell)
    return Markup(' class="number"') if text[:1] in "+-0123456789<>" and len(text) < 40 else Markup("")


def minus(text: str) -> str:
    """A minus sign instead of a hyphen before a number that stands alone."""
    words = [f"−{word[1:]}" if word[:1] == "-" and word[1:2].isdigit() else word for word in text.split(" ")]
    return " ".join(words).replace("(-", "(−")


def _packaged(name: str) -> str:
    return resources.files("segxfer3d.report").joinpath(name).read_text(encoding="utf-8")
