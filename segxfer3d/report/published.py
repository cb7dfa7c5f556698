"""Figures of the paper that stand beside a study's own, where the study file says that the task is the same.

A study file names them under ``published``: ``{"source": ..., "metric": ..., "values": [...]}``, the metric being
``dice`` (what is meant by none) or another measure of ours that is computed alike. Each value has ``arm``, ``data`` and
``budget_name``, and either the figure itself (``mean`` and ``std``, in percent) or where it is in the bundled copy of
the paper's tables: ``table`` (``table2``), ``column``, ``scenario``, ``model``, and ``labels`` where the table has
those. Several values of one arm, data and budget are of several measures, each with a ``metric`` of its own. Nothing is
ever matched by guessing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from segxfer3d.report.run_files import Problem


@dataclass(frozen=True)
class Published:
    """A figure from the literature: mean and standard deviation in percent, where it stands, and of which measure.

    Attributes:
        others: figures of other measures in the same cell.
    """

    mean: float
    std: float | None
    where: str
    measure: str = "dice"
    others: tuple[Published, ...] = ()

    def of(self, measure: str) -> Published | None:
        """The figure of a measure, if there is one."""
        return next((figure for figure in (self, *self.others) if figure.measure == measure), None)

    @property
    def measures(self) -> tuple[str, ...]:
        """Of which there are figures."""
        return tuple(figure.measure for figure in (self, *self.others))


def paper_tables() -> dict[str, Any]:
    """The tables of the paper, as printed."""
    text = resources.files("segxfer3d.report").joinpath("paper_tables.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)
    return tables


def published_values(study: Mapping[str, Any]) -> tuple[dict[tuple[str, str, str], Published], list[Problem]]:
    """Figures by (arm, data, budget_name), and the entries that name none."""
    content = study.get("published")
    section: dict[str, Any] = content if isinstance(content, dict) else {}
    entries = section.get("values", [])
    figures: dict[tuple[str, str, str], Published] = {}
    problems = []
    tables = paper_tables() if entries else {}
    for entry in entries if isinstance(entries, list) else []:
        try:
            key = (str(entry["arm"]), str(entry["data"]), str(entry["budget_name"]))
            if "mean" in entry:
                std = entry.get("std")
                source = str(entry.get("source") or section.get("source") or "the study file")
                figure = Published(float(entry["mean"]), None if std is None else float(std), source)
            else:
                figure = _look_up(tables, entry)
            figure = replace(figure, measure=str(entry.get("metric") or section.get("metric") or "dice"))
            first = figures.get(key)
            if first is not None and figure.measure in first.measures:
                raise ValueError(f"{figure.measure} is there twice")
            figures[key] = figure if first is None else replace(first, others=(*first.others, figure))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            text = json.dumps(entry)[:200]
            problems.append(
                Problem("study.json", f"published: {text} names no figure ({type(error).__name__} {error})")
            )
    return figures, problems


def _look_up(tables: Mapping[str, Any], entry: Mapping[str, Any]) -> Published:
    table = tables[entry["table"]]
    column = table["columns"].index(entry["column"])
    wanted = {name: entry[name] for name in ("scenario", "model", "labels") if name in entry}
    rows = [row for row in table["rows"] if all(str(row.get(name)) == str(value) for name, value in wanted.items())]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows fit")
    mean, *std = rows[0]["values"][column]
    number = str(entry["table"]).removeprefix("table")
    return Published(float(mean), float(std[0]) if std else None, f"Table {number}, {entry['column']}")
