"""One page that shows a study: it opens offline from disk, asks for nothing from anywhere, and can be sent by mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.errors import InputError, shortened
from segxfer3d.report.arms import SCENARIOS
from segxfer3d.report.claims import Claim, claims
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.figures.study import draw_all
from segxfer3d.report.html import html_table, minus, render
from segxfer3d.report.methods import methods
from segxfer3d.report.planned import unfinished
from segxfer3d.report.published import published_values
from segxfer3d.report.results import Result
from segxfer3d.report.results import results as results_of
from segxfer3d.report.run_files import Problem
from segxfer3d.report.run_tables import facts, knob_table, run_table, settings_table
from segxfer3d.report.tables import (
    comparison_table,
    convergence_table,
    lesion_table,
    levels,
    score_table,
    write_tables,
)
from segxfer3d.report.viewer import volumes
from segxfer3d.report.words import answer, caveats, other_answers, owners_of
from segxfer3d.study.states import FAILED

_NOTES = 40  # on a result, before "and n more"


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
    *,
    all_figures: bool = False,
    channel: str = "",
) -> Written:
    """Report on a study's folder, or on any folder of runs.

    Beside ``<name>.html`` comes a folder ``<name>_files`` with the tables (CSV, Markdown, LaTeX), the figures (SVG, and
    JPEG of photographs) and ``methods.md``; the page does not need it. A report of the same files is the same, byte for
    byte.

    Args:
        folder: of the study, or with runs in it.
        output: the page, ``*.html``.
        margin: largest difference of dice that does not matter, in percentage points; None: the study file's, or 2.
        all_figures: save each figure as PDF, too, and draw the masks of every label budget, not of the smallest alone.
        channel: that pictures show of volumes of several, by its name or its number from 1; empty: the first.

    Raises:
        InputError: no runs there, a margin that cannot be, or the page cannot be written.
    """
    output = Path(output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output}: expected a name that ends in .html")
    collection = collect(folder)
    if channel:
        _refuse_unknown(collection, channel)
        collection = replace(collection, runs=tuple(replace(run, channel=channel) for run in collection.runs))
    beside = output.with_name(f"{output.stem}_files")
    files.make_folder(beside)
    published, problems = published_values(collection.study)
    results = results_of(collection, published, margin)
    pictures, damaged = draw_all(collection, results, beside, all_figures=all_figures)
    problems += damaged
    answers = claims(results, collection.arms)
    write_tables(beside, results, answers)
    shown, left_out = volumes(results, problems)
    paragraph, references = methods(collection, results)
    listed = "\n".join(f"{i}. {reference}" for i, reference in enumerate(references, 1))
    files.write_text(beside / "methods.md", f"{paragraph}\n\n{listed}\n")
    all_problems = tuple(dict.fromkeys([*collection.problems, *problems]))
    page = {
        **_results_section(results),
        "caveats": [*unfinished(collection, results), *caveats(results)],
        "claims": [_claim_parts(claim) for claim in answers],
        **_run_section(collection),
        "pictures": pictures,
        "volumes": shown,
        "left_out": left_out,
        "problems": all_problems,
        "methods": paragraph,
        "references": references,
        "files": beside.name,
    }
    files.write_text(output, render(page))
    return Written(output, beside, answer(results), all_problems)


def _refuse_unknown(collection: Collection, channel: str) -> None:
    """A channel that the first run with pictures does not have."""
    for run in collection.finetunings():
        with suppress(InputError):  # damaged pictures are a problem that the page lists
            if run.previews():
                break
    else:
        return
    replace(run, channel=channel).previews()


def _results_section(results: Sequence[Result]) -> dict[str, Any]:
    """The answer, and the tables behind it."""
    return {
        "answer": minus(answer(results)),
        "others": [minus(line) for line in other_answers(results)],
        "results": [_result_parts(result) for result in results],
        "points": " or ".join(f"{level}s" for level in levels(results)),
        "scenarios": _scenarios(results),
        "units": " or ".join(owners_of(results)),
        "unit": " or ".join(units[:-1] for units in owners_of(results)),
    }


def _claim_parts(claim: Claim) -> dict[str, Any]:
    """What the page shows of an answer."""
    answer, _, why = minus(claim.sentence).partition(": ")
    return {
        "question": claim.question,
        "answer": answer,
        "why": why,
        "kind": claim.answer.split(" ")[0],
        "findings": [minus(finding.sentence) for finding in claim.findings],
    }


def _run_section(collection: Collection) -> dict[str, Any]:
    """What was run, and how it stands."""
    return {
        "collection": collection,
        "states": Counter(run.state for run in collection.runs),
        "facts": facts(collection),
        "settings": html_table(settings_table(collection)),
        "runs": html_table(run_table(collection)),
        "knobs": html_table(knob_table(collection)),
        "failures": [run for run in collection.runs if run.state == FAILED],
    }


def _result_parts(result: Result) -> dict[str, Any]:
    """What the page shows of one result."""
    sources = dict.fromkeys(arm.published.where for arm in result.arms if arm.published)
    return {
        "title": result.title,
        "scores": html_table(score_table(result)),
        "lesions": html_table(lesions) if len(lesions := lesion_table(result)) else None,
        "comparisons": html_table(comparison_table(result)) if result.comparisons else None,
        "sentences": [verdict.sentence for _, verdict in result.comparisons],
        "compared": result.who,
        "convergence": html_table(convergence_table(result)) if result.convergence else None,
        "published": list(sources),
        "notes": shortened(result.notes, _NOTES),
    }


def _scenarios(results: Sequence[Result]) -> list[tuple[str, str]]:
    """The paper's scenarios that occur, in words."""
    text = " ".join(arm.arm.scenario for result in results for arm in result.arms)
    return [(number, words) for number, words in SCENARIOS.items() if number in text.split()]
