"""What studies found as sections of a page in Markdown: tables with intervals and verdicts, and the figures.

Everything is made from the files of the studies' runs. Only a study's own section of the page is written anew; what
stands around it stays.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from segxfer3d.config.learning import recipe_in
from segxfer3d.errors import InputError, numbered, some
from segxfer3d.files import write_text
from segxfer3d.report import tables, words
from segxfer3d.report.cells import NONE
from segxfer3d.report.claims import claims
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.commands import run_command
from segxfer3d.report.figures.study import draw_curves, draw_forest
from segxfer3d.report.figures.style import save
from segxfer3d.report.markup import markdown
from segxfer3d.report.planned import unfinished
from segxfer3d.report.results import Result, results
from segxfer3d.report.run_files import PARTS, Run
from segxfer3d.report.run_tables import code_versions
from segxfer3d.study.records import is_record
from segxfer3d.study.states import DONE
from segxfer3d.study.trials import STUDY_FILE


def write_results_page(folders: Sequence[Path | str], page: Path | str, *, validation: bool = False) -> Path:
    """Write what studies found into a page in Markdown, a section for each; figures are written beside it.

    Args:
        folders: of the studies, or with runs in them.
        page: is made where there is none; of one that exists, only the sections of these studies change.
        validation: write only a table of the dice on the validation part, for a study that chooses settings: those
            must not be chosen by the test part.

    Returns:
        the page.

    Raises:
        InputError: two studies of one name, a folder without a fine-tuning that is done or with a ``study.json`` that
            cannot be read, or the page or a figure cannot be written.
    """
    page = Path(page)
    collections = {folder: collect(folder) for folder in folders}
    names = [collection.name for collection in collections.values()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        same = some([str(folder) for folder, collection in collections.items() if collection.name == twice[0]])
        raise InputError(f"two studies are called {twice[0]}: {same}; a page has one section for each name")
    for folder, collection in collections.items():
        if damaged := [problem.what for problem in collection.problems if problem.what.startswith(f"{STUDY_FILE} can")]:
            raise InputError(f"{folder}: {damaged[0]}")  # which names the section, and says what is judged by
        if not collection.finetunings():
            raise InputError(f"{folder}: no fine-tuning is done")
        lines = _head(collection, page, validation)
        lines += _validation(collection) if validation else _test(collection, page.parent)
        _replace_section(page, collection.name, "\n".join(lines))
    return page


def _head(collection: Collection, page: Path, validation: bool) -> list[str]:
    """What was run, by which commands, on what, for how long."""
    study = collection.study
    flag = " --validation" if validation else ""
    all_finetunings = [run for run in collection.runs if run.kind == "finetune"]
    done = collection.finetunings()
    lines = [f"## {collection.name}", "", str(study.get("description", "")), ""]
    lines += [_commands(collection, f"-o {page.as_posix()}{flag}"), ""]
    for data in dict.fromkeys(run.data for run in done):
        lines.append(_parts(next(run for run in done if run.data == data), data))
    if len(done) < len(all_finetunings):
        lines.append(f"{len(done)} of {len(all_finetunings)} fine-tunings are done.")
    if collection.other_data:
        named = some([f"{problem.where} ({problem.what})" for problem in collection.other_data], 3)
        lines.append(f"**Not all trainings saw the same data, so they do not compare:** {named}.")
    recipes = ", ".join(dict.fromkeys(recipe_in(run.knobs) for run in done))
    lines.append(f"Recipe of the fine-tunings: {recipes}.")
    return [*lines, hardware([run for run in collection.runs if run.state == DONE]), ""]


def _commands(collection: Collection, output: str) -> str:
    """The commands that make the numbers, as far as they are known, and the page from them."""
    folder = collection.folder
    ran = run_command(collection, folder.name)
    if not is_record(folder):
        return f"Made by {f'`{ran}` and ' if ran else ''}`segxfer3d results {folder.name} {output}`."
    place = folder.name if folder.is_absolute() else folder.as_posix()
    return (
        f"{f'Made by `{ran}`, kept' if ran else 'Kept'} by `segxfer3d study keep {folder.name} {place}`; "
        f"`segxfer3d results {place} {output}` writes this section from that record."
    )


def _parts(run: Run, data: str) -> str:
    """Who was in which part of a data set."""
    counted = ", ".join(f"{len(run.part(part))} {part}" for part in PARTS if run.part(part))
    return f"Parts of {data} (`split.json`): {counted}." if counted else ""


def hardware(runs: Sequence[Run]) -> str:
    """On what the runs were made, and how long they took."""
    versions = [run.description.get("versions", {}) for run in runs]
    processor, threads, gpu, torch = (
        "; ".join(dict.fromkeys(str(v.get(n)) for v in versions)) for n in ("processor", "threads", "gpu", "torch")
    )
    each = f"{threads} thread{'s' * (threads != '1')}"
    hours = [
        f"{numbered(len(chosen), name, f'{name}s')} {sum(run.seconds or 0.0 for run in chosen) / 3600:.2f} h"
        for kind, name in (("pretrain", "pretraining"), ("finetune", "fine-tuning"))
        if (chosen := [run for run in runs if run.kind == kind])
    ]
    return (
        f"Hardware: {processor}, {each} a training, GPU {gpu}; torch {torch}. Wall time, summed "
        f"over trainings: {', '.join(hours)}.{_several_codes(runs)}"
    )


def _several_codes(runs: Sequence[Run]) -> str:
    """Said where trainings of one job ran different code."""
    several = [f"{job}: {words}" for job, words in code_versions(runs).items() if ";" in words]
    return f" Code versions of {'; of '.join(several)}." if several else ""


def _test(collection: Collection, folder: Path) -> list[str]:
    """The answer, the figures, and the tables of each data set and label budget: all on the test part."""
    by_budget = results(collection)
    lines = []
    for number, claim in enumerate(claims(by_budget, collection.arms), 1):
        lines.append(f"{number}. {claim.question} **{claim.answer[0].upper()}{claim.answer[1:]}**: {claim.detail}.")
        lines += [f"   - {finding.sentence}" for finding in claim.findings]
    if lines:
        lines.append("")
    lines += [words.answer(by_budget), "", *(f"- {line}" for line in words.other_answers(by_budget))]
    lines += [f"\n{line}" for line in [*unfinished(collection, by_budget), *words.caveats(by_budget)]]
    lines += _figures(collection.name, by_budget, folder)
    for result in by_budget:
        lines += _tables(result)
    return lines


def _tables(result: Result) -> list[str]:
    """The tables of one data set at one label budget."""
    lines = ["", f"### {result.title}", "", markdown(tables.score_table(result))]
    if len(lesions := tables.lesion_table(result)):
        lines += ["Lesions (connected components), in percent but for the false positives:", ""]
        lines += [markdown(lesions)]
    if result.comparisons:
        lines += [f"Differences of dice on {result.who}, each of which weighs the same:", ""]
        lines += [markdown(tables.comparison_table(result))]
    if result.convergence:
        lines += ["Steps of fine-tuning, on the validation part:", ""]
        lines += [markdown(tables.convergence_table(result))]
    return [*lines, *(f"- {note}" for note in result.notes)]


def _figures(name: str, by_budget: Sequence[Result], folder: Path) -> list[str]:
    """Dice over steps and the forest plot, saved beside the page."""
    lines = []
    for what, title, figure in (
        ("dice_over_steps", "dice over steps", draw_curves(by_budget)),
        ("differences", "differences of dice with 95 % intervals", draw_forest(by_budget)),
    ):
        if figure is not None:
            save(figure, folder / f"{name}_{what}.svg")
            lines += ["", f"![{title}]({name}_{what}.svg)"]
    return lines


def _validation(collection: Collection) -> list[str]:
    """Dice on the validation part behind the last step, arm by arm; mean over seeds."""
    runs = [run for run in collection.finetunings() if run.curve]
    columns = list(dict.fromkeys((run.data, run.budget_name) for run in runs))
    lines = [
        f"| arm | {' | '.join(f'{data}, {budget}' for data, budget in columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for arm in dict.fromkeys(run.arm for run in runs):
        cells = []
        for column in columns:
            last = [run.curve[-1][1] for run in runs if (run.arm, (run.data, run.budget_name)) == (arm, column)]
            cells.append(f"{statistics.mean(last):.1f}" if last else NONE)
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return ["Dice on the validation part, in percent, behind the last step:", "", *lines]


def _replace_section(page: Path, name: str, text: str) -> None:
    """Write ``text`` between the marks of ``name``, behind everything where the page has no such marks yet."""
    begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->\n"
    try:
        old = page.read_text(encoding="utf-8") if page.is_file() else f"# {page.stem}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{page} cannot be read ({error})") from error
    if begin in old:
        before, rest = old.split(begin, 1)
        if end not in rest:
            raise InputError(f"{page}: a line {begin.strip()} without {end.strip()} below it")
        content = before + begin + text + end + rest.split(end, 1)[1]
    else:
        content = f"{old}\n{begin}{text}{end}"
    write_text(page, content)
