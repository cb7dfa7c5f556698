"""The paper's tables as a page in Markdown: what studies found in each cell, and beside it what was published.

A study belongs to the table that its ``published`` section names as its source. A cell that no training filled says so;
a table that no study belongs to is shown as published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError
from segxfer3d.files import write_text
from segxfer3d.report import tables
from segxfer3d.report.cells import NONE, between, plus_minus, signed
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.commands import run_command
from segxfer3d.report.figures.cka import FILE as CKA_FILE
from segxfer3d.report.figures.cka import save_cka
from segxfer3d.report.markup import markdown, one_line
from segxfer3d.report.published import Published, paper_tables, published_values
from segxfer3d.report.results import Result, results
from segxfer3d.report.results_page import hardware
from segxfer3d.report.table import Table
from segxfer3d.report.words import caveats
from segxfer3d.study.records import is_record
from segxfer3d.study.states import DONE

NOT_RUN = "not run"
TITLES = {
    2: "flowers and pets from few masks, self-supervised pretraining",
    3: "lung nodules, Models Genesis",
    4: "Cityscapes pretraining, buses and airplanes",
    5: "dogs by masks or by breeds, cats and horses",
}
_TABLE = re.compile(r"Table (\d)$")
_SIZES = {"pets": "oxford_pets"}  # how Table 1 calls a study's data
INTRODUCTION = """# The paper's tables, cell by cell

Dippel et al. 2022, [arXiv 2207.14508](https://arxiv.org/abs/2207.14508). In each cell first what came out here, mean ±
standard deviation over seeds, then in brackets what was published, both in percent. Each study says how it differs from
the paper's: figures stand side by side, and no test compares them.

Made by `segxfer3d paper {folders}-o {page}`{beside}; [reproduced](../reproduced.md) says of each table and
figure what was run, and why.
"""

Key = tuple[str, str, str]  # arm, data, name of the budget
Figures = Mapping[Key, Published]


def write_paper_page(page: Path | str, folders: Sequence[Path | str] = ()) -> Path:
    """Write the page.

    Args:
        page: is written anew.
        folders: of studies, or records of them; those of the page's folder where none are given.

    Returns:
        the page.

    Raises:
        InputError: a folder without a study or whose study names no table of the paper, or the page cannot be written.
    """
    page = Path(page)
    chosen = [Path(folder) for folder in folders] or sorted(path for path in page.parent.glob("*") if is_record(path))
    of_table: dict[int, list[Collection]] = {}
    for folder in chosen:
        collection = collect(folder)
        if number := table_of(collection.study):
            of_table.setdefault(number, []).append(collection)
        elif folders:
            raise InputError(
                f"{folder}: the study {collection.name} names no table of the paper; expected published.source in it "
                "to end in Table 2, 3, 4 or 5"
            )
    named = "".join(f"{Path(folder).name} " for folder in folders)
    beside = "" if folders else " from the records beside it"
    place = page.as_posix() if not page.is_absolute() else page.name
    lines = [INTRODUCTION.format(page=place, folders=named, beside=beside)]
    lines += _sizes([collection for several in of_table.values() for collection in several])
    for number, title in TITLES.items():
        lines += [f"## Table {number}: {title}", ""]
        lines += [line for collection in of_table.get(number, []) for line in _study(collection)]
        if number not in of_table:
            lines += _as_published(number)
    lines += _similarity(page.parent)
    write_text(page, "\n".join(lines).rstrip() + "\n")
    return page


def table_of(study: Mapping[str, Any]) -> int | None:
    """The table of the paper that a study belongs to."""
    published = study.get("published")
    found = _TABLE.search(str(published.get("source", ""))) if isinstance(published, dict) else None
    return int(found[1]) if found and int(found[1]) in TITLES else None


def _sizes(collections: Sequence[Collection]) -> list[str]:
    """Table 1: how many images there are."""
    found: dict[str, int] = {}
    for run in (run for collection in collections for run in collection.finetunings()):
        if isinstance(good := run.data_check.get("good"), list):
            found.setdefault(_SIZES.get(run.data, run.data), len(good))
    rows = [
        {"data set": name, "here": str(found.get(name, NOT_RUN)), "published": str(count)}
        for name, count in paper_tables()["table1_dataset_sizes"].items()
    ]
    return ["## Table 1: images of the data sets", "", markdown(Table.of(rows))]


def _study(collection: Collection) -> list[str]:
    """The section of a study."""
    figures, _ = published_values(collection.study)
    found = results(collection, figures)
    done = [run for run in collection.runs if run.state == DONE]
    lines = [f"### {collection.name}", "", one_line(str(collection.study.get("description", ""))), ""]
    lines += [f"Run by `{ran}`.", ""] if (ran := run_command(collection, collection.name)) else []
    planned = sum(run.kind == "finetune" for run in collection.runs)
    if (count := len(collection.finetunings())) < planned:
        lines += [f"{count} of {planned} fine-tunings are done.", ""]
    lines += [hardware(done), ""] if done else []
    lines += [markdown(_cells(figures, found, list(collection.study.get("arms", {}))))]
    if any(figure.measure != "dice" for figure in figures.values()):
        lines += [line for r in found for line in (f"All measures, {r.title}:", "", markdown(tables.score_table(r)))]
    differences = _differences(figures, found)
    if len(differences):
        lines += ["Differences of dice, in points, with what the published means differ by:", "", markdown(differences)]
    notes = [f"{result.title}: {note}" for result in found for note in result.notes]
    return lines + [f"- {line}" for line in (*caveats(found), *notes)] + [""]


def _as_published(number: int) -> list[str]:
    """A table that was not run."""
    path = shipped_folder() / "studies" / f"table{number}.json"
    study = json.loads(path.read_text(encoding="utf-8"))
    figures, _ = published_values(study)
    return ["Not run here.", "", markdown(_cells(figures, [], list(study["arms"])))]


def _cells(figures: Figures, found: Sequence[Result], arms: Sequence[str]) -> Table:
    """Arms down, data sets and budgets across; what was not run says so."""
    columns = list(dict.fromkeys((data, budget, m) for (_, data, budget), f in figures.items() for m in f.measures))
    known = {column[:2] for column in columns}
    columns += [(r.data, r.budget_name, "dice") for r in found if (r.data, r.budget_name) not in known]
    here = {(arm.arm.name, r.data, r.budget_name): arm for r in found for arm in r.arms}
    rows = []
    for name in arms:
        row = {"arm": name}
        for data, budget, measure in columns:
            cell, arm = figures.get((name, data, budget)), here.get((name, data, budget))
            figure = cell.of(measure) if cell else None
            value = NOT_RUN
            if arm is not None:
                value = plus_minus(arm.measures[measure]) if measure in arm.measures else f"no {measure}"
            beside = plus_minus((figure.mean, figure.std)) if figure else NONE
            row[_title(data, budget, measure)] = f"{value} ({beside})"
        rows.append(row)
    seeds = {
        _title(data, budget, measure): ", ".join(sorted({str(len(arm.seeds)) for arm in r.arms}))
        for data, budget, measure in columns
        for r in found
        if (r.data, r.budget_name) == (data, budget)
    }
    if seeds:
        rows.append({"arm": "seeds", **{title: seeds.get(title, NONE) for title in list(rows[0])[1:]}})
    return Table.of(rows)


def _title(data: str, budget: str, measure: str) -> str:
    """The head of a column; dice is what is meant by no measure."""
    return f"{data}, {_budget(budget)}" + ("" if measure == "dice" else f", {measure}")


def _differences(figures: Figures, found: Sequence[Result]) -> Table:
    """Every planned comparison with its interval, and the difference of the published means."""
    rows = []
    for result in found:
        for pair, _ in result.comparisons:
            cells = [figures.get((name, result.data, result.budget_name)) for name in (pair.arm, pair.reference)]
            first, second = (cell.of("dice") if cell else None for cell in cells)
            published = signed(first.mean - second.mean) if first and second else NONE
            rows.append({
                "data": f"{result.data}, {_budget(result.budget_name)}", "arm": pair.arm, "against": pair.reference,
                "here": signed(pair.difference), "95 % interval": between(pair.interval, sign=True),
                "published": published,
            })  # fmt: skip
    return Table.of(rows)


def _budget(name: str) -> str:
    """The name of a label budget, in words."""
    if name == "all":
        return "all labels"
    return f"{100 * float(name[1:]):g} %" if name.startswith("f") else f"{name[1:]} labels"


def _similarity(folder: Path) -> list[str]:
    """Figure 7: the CKA matrices beside the page."""
    lines = ["## Figure 7: similarity of encoders (linear CKA)", ""]
    for path in sorted(folder.glob(f"*/{CKA_FILE}")):
        *_, picture = save_cka(path.parent)
        content = documents.own(path)
        lines += [f"### {path.parent.name}", "", f"![linear CKA]({picture.relative_to(folder).as_posix()})", ""]
        rows = [
            {
                "encoder": name,
                **{n: NONE if v is None else f"{v:.2f}" for n, v in zip(content["names"], row, strict=True)},
            }
            for name, row in zip(content["names"], content["cka"], strict=True)
        ]
        lines += [markdown(Table.of(rows))]
    return lines if len(lines) > 2 else [*lines, "Not run here."]
