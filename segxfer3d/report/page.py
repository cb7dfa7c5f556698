"""One page that shows a study: it opens offline from disk, asks for nothing from anywhere, and can be sent by mail."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import segxfer3d
from segxfer3d import files
from segxfer3d.errors import InputError, some
from segxfer3d.report import tables
from segxfer3d.report.arms import SCENARIOS
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.figures.study import Picture, draw_all
from segxfer3d.report.published import published_values
from segxfer3d.report.results import Result, results
from segxfer3d.report.run_files import DAMAGED, DONE, FAILED, Problem, Run
from segxfer3d.report.viewer import volumes
from segxfer3d.report.words import answer, caveats, methods, other_answers
from segxfer3d.statistics.interval import RESAMPLES

try:
    import pandas as pd
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise InputError("a report needs pandas and jinja2: pip install 'segxfer3d[report]'") from error

_SHOWN = 40  # knobs that differ, notes and problems in a list, before "and n more"


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        page: the HTML file.
        files: the folder beside it, with tables and figures.
        answer: the sentence on top of it.
        problems: damaged or missing things, all of which it lists.
    """

    page: Path
    files: Path
    answer: str
    problems: tuple[Problem, ...]


def write_report(
    folder: Path | str,
    output: Path | str,
    margin: float | None = None,
    resamples: int = RESAMPLES,
) -> Written:
    """Report on a study's folder, or on any folder of runs.

    Beside ``<name>.html`` comes a folder ``<name>_files`` with the tables (CSV, Markdown, LaTeX), the figures (PDF,
    SVG) and ``methods.md``; the page does not need it. A report of the same files is the same, byte for byte.

    Args:
        folder: of the study, or with runs in it.
        output: the page, ``*.html``.
        margin: largest difference of dice that does not matter, in percent points; None: equivalence is not asked.
        resamples: of the bootstrap.

    Raises:
        InputError: no runs there, or the page cannot be written.
    """
    output = Path(output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: expected a name that ends in .html")
    collection = collect(folder)
    beside = output.with_name(f"{output.stem}_files")
    try:
        beside.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{beside} cannot be written ({error})") from error
    published, problems = published_values(collection.study)
    found = results(collection, published, margin, resamples)
    pictures, more = draw_all(collection, found, beside)
    problems += more
    tables.write_tables(beside, found)
    shown, left_out = volumes(found, problems)
    paragraph, references = methods(collection, found)
    listed = "\n".join(f"{i}. {reference}" for i, reference in enumerate(references, 1))
    files.write_text(beside / "methods.md", f"{paragraph}\n\n{listed}\n")
    every = tuple(dict.fromkeys([*collection.problems, *problems]))
    sentence = answer(found)
    page = {
        "collection": collection,
        "answer": _minus(sentence),
        "others": [_minus(line) for line in other_answers(found)],
        "caveats": caveats(found),
        "states": Counter(run.state for run in collection.runs),
        "results": [_result_parts(result) for result in found],
        "scenarios": _scenarios(found),
        "pictures": pictures,
        "volumes": shown,
        "left_out": left_out,
        "facts": _facts(collection),
        "runs": html_table(_run_table(collection)),
        "knobs": html_table(_knob_table(collection)),
        "failures": [run for run in collection.runs if run.state == FAILED],
        "problems": every,
        "methods": paragraph,
        "references": references,
        "files": beside.name,
        "shown": _SHOWN,
    }
    files.write_text(output, render(page))
    return Written(output, beside, sentence, every)


def render(page: dict[str, Any]) -> str:
    """The HTML; everything from the data is escaped, and only the page's own script may run."""
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
        version=segxfer3d.__version__,
    )


def html_table(table: pd.DataFrame) -> Markup:
    """A table in HTML, every cell escaped; numbers to the right."""

    def row(cells: Iterable[Any], tag: str) -> Markup:
        made = [Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), _align(cell), _minus(str(cell))) for cell in cells]
        return Markup("<tr>{}</tr>").format(Markup("").join(made))

    head = row([str(name).strip() for name in table.columns], "th")
    body = Markup("").join(row(cells, "td") for cells in table.itertuples(index=False))
    return Markup("<table><thead>{}</thead><tbody>{}</tbody></table>").format(head, body)


def _align(cell: Any) -> Markup:
    text = str(cell)
    return Markup(' class="number"') if text[:1] in "+-0123456789<>" and len(text) < 40 else Markup("")


def _minus(text: str) -> str:
    """A minus sign instead of a hyphen before a number that stands alone."""
    words = [f"−{word[1:]}" if word[:1] == "-" and word[1:2].isdigit() else word for word in text.split(" ")]
    return " ".join(words).replace("(-", "(−")


def _packaged(name: str) -> str:
    return resources.files("segxfer3d.report").joinpath(name).read_text(encoding="utf-8")


def _result_parts(result: Result) -> dict[str, Any]:
    """What the page shows of one result."""
    cases, patients = result.compared
    sources = dict.fromkeys(arm.published.where for arm in result.arms if arm.published)
    return {
        "title": result.title,
        "scores": html_table(tables.score_table(result)),
        "lesions": html_table(lesions) if len(lesions := tables.lesion_table(result)) else None,
        "comparisons": html_table(tables.comparison_table(result)) if result.comparisons else None,
        "sentences": [verdict.sentence for _, verdict in result.comparisons],
        "compared": f"{cases} cases of {patients} patients or groups",
        "convergence": html_table(tables.convergence_table(result)) if result.convergence else None,
        "published": list(sources),
        "notes": result.notes,
    }


def _scenarios(found: Sequence[Result]) -> list[tuple[str, str]]:
    """The paper's scenarios that occur, in words."""
    text = " ".join(arm.arm.scenario for result in found for arm in result.arms)
    return [(number, words) for number, words in SCENARIOS.items() if number in text.split()]


def _facts(collection: Collection) -> list[tuple[str, str]]:
    """What was run, on what, for how long."""
    done = [run for run in collection.runs if run.state in (DONE, DAMAGED)]
    finetunings = [run for run in done if run.kind == "finetune"]
    facts = [
        ("folder", str(collection.folder)),
        ("runs", f"{len(collection.runs)}, of which {len([r for r in done if r.state == DONE])} are done"),
        (
            "seeds",
            ", ".join(map(str, sorted({run.seed for run in finetunings if run.seed is not None}))) or tables.NONE,
        ),
    ]
    for kind, title in (("pretrain", "pretraining"), ("finetune", "fine-tuning")):
        seconds = [run.seconds for run in collection.runs if run.kind == kind and run.seconds is not None]
        if seconds:
            facts.append(
                (f"hours of {title}", f"{sum(seconds) / 3600:.2f} (wall time, summed over {len(seconds)} runs)")
            )
    for name in dict.fromkeys(name for run in done for name in _versions(run)):
        values = dict.fromkeys(str(_versions(run).get(name)) for run in done if name in _versions(run))
        facts.append((name, "; ".join(values)))
    for data in dict.fromkeys(run.data for run in finetunings):
        runs = [run for run in finetunings if run.data == data]
        cases = {files.names_hash(map(str, run.data_check["good"])) for run in runs if run.data_check.get("good")}
        tested = {files.names_hash(score.case for score in run.scores["dice"]) for run in runs if run.scores}
        facts.append((f"fingerprint of the cases of {data or 'the data'}", _fingerprints(cases)))
        facts.append((f"fingerprint of the test cases of {data or 'the data'}", _fingerprints(tested)))
    return facts


def _fingerprints(found: set[str]) -> str:
    if len(found) > 3:
        return f"{len(found)} different ones"
    return ", ".join(sorted(found)) or tables.NONE


def _versions(run: Run) -> dict[str, Any]:
    versions = run.description.get("versions", {})
    return versions if isinstance(versions, dict) else {}


def _run_table(collection: Collection) -> pd.DataFrame:
    """Every run: what it was, how it stands."""
    rows = []
    for run in collection.runs:
        dice = run.summary.get("dice")
        rows.append({
            "run": run.name,
            "job": run.job or run.kind,
            "arm": run.arm or tables.NONE,
            "data": run.data or tables.NONE,
            "labels": run.budget_name or tables.NONE,
            "seed": tables.NONE if run.seed is None else str(run.seed),
            "state": run.state,
            "minutes": tables.NONE if run.seconds is None else f"{run.seconds / 60:.1f}",
            "dice": f"{100 * dice:.1f}" if isinstance(dice, (int, float)) else tables.NONE,
            "loaded": _loaded(run),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _loaded(run: Run) -> str:
    """How many tensors were transferred, from ``transfer.json``."""
    loaded, left = run.transfer.get("loaded"), run.transfer.get("left")
    if not isinstance(loaded, list) or not isinstance(left, list):
        return tables.NONE
    return f"{len(loaded)} of {len(loaded) + len(left)} tensors"


def _knob_table(collection: Collection) -> pd.DataFrame:
    """Every knob: the value that all runs of a job share, or the values that differ."""
    rows = []
    for job in dict.fromkeys(run.job for run in collection.runs if run.job):
        runs = [run for run in collection.runs if run.job == job]
        for knob in dict.fromkeys(knob for run in runs for knob in run.knobs):
            values = list(dict.fromkeys(json.dumps(run.knobs.get(knob)) for run in runs))
            rows.append({"job": job, "knob": knob, "value": some(values, 6)})
    return pd.DataFrame(rows, columns=["job", "knob", "value"])


__all__ = ["Picture", "Written", "render", "write_report"]
