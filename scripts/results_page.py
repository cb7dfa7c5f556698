"""Write what a study found into a page of docs/results: tables with intervals and verdicts, and the figures.

python scripts/results_page.py runs/lidc --page docs/results/lidc.md
python scripts/results_page.py runs/tuning --page docs/results/lidc.md --validation

Everything is made from the files of the study's runs. Only the study's own section of the page is written anew; what
stands around it stays. With --validation it is a table of the dice on the validation part alone, for a study that
chooses settings: those must not be chosen by the test part.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from segxfer3d.errors import InputError
from segxfer3d.files import write_text
from segxfer3d.report import tables, words
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.figures.study import draw_curves, draw_forest
from segxfer3d.report.figures.style import save
from segxfer3d.report.results import Result, results
from segxfer3d.report.run_files import DONE, Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the study")
    parser.add_argument("--page", type=Path, required=True, help="Markdown; figures are written beside it")
    parser.add_argument("--validation", action="store_true", help="only the dice on the validation part")
    options = parser.parse_args(arguments)
    try:
        collection = collect(options.folder)
        if not collection.finetunings():
            raise InputError(f"{options.folder}: no fine-tuning is done")
        lines = head(collection, options)
        if options.validation:
            lines += validation(collection)
        else:
            found = results(collection)
            lines += [words.answer(found), "", *(f"- {line}" for line in words.other_answers(found))]
            lines += [f"\n{line}" for line in words.caveats(found)]
            lines += figures(collection.name, found, options.page.parent)
            for result in found:
                lines += section(result)
        replace_section(options.page, collection.name, "\n".join(lines))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def head(collection: Collection, options: argparse.Namespace) -> list[str]:
    """What was run, by which commands, on what, for how long."""
    study = collection.study
    set_by = "".join(
        f" --set {name}={Path(str(value)).name}"
        for name, value in study.get("parameters", {}).items()
        if os.sep in str(value)
    )
    file = f"bundles/studies/{Path(str(study.get('study_file', ''))).name}"
    flag = " --validation" if options.validation else ""
    finetunings, every = collection.finetunings(), [run for run in collection.runs if run.kind == "finetune"]
    lines = [f"## {collection.name}", "", str(study.get("description", "")), ""]
    lines += [
        f"Made by `segxfer3d study run {file} --output {collection.folder.name}{set_by}` and "
        f"`python scripts/results_page.py {collection.folder.name} --page {options.page.as_posix()}{flag}`.",
        "",
    ]
    for data in dict.fromkeys(run.data for run in finetunings):
        lines.append(parts(next(run for run in finetunings if run.data == data), data))
    if len(finetunings) < len(every):
        lines.append(f"{len(finetunings)} of {len(every)} fine-tunings are done.")
    return [*lines, hardware([run for run in collection.runs if run.state == DONE]), ""]


def parts(run: Run, data: str) -> str:
    """Who was in which part of a data set."""
    counted = ", ".join(
        f"{len(names)} {part}" for part, names in run.split.items() if isinstance(names, list) and names
    )
    return f"Parts of {data} (`split.json`): {counted}." if counted else ""


def hardware(runs: Sequence[Run]) -> str:
    """On what the runs were made, and how long they took."""
    versions = [run.description.get("versions", {}) for run in runs]
    named = [
        "; ".join(dict.fromkeys(str(v.get(n)) for v in versions)) for n in ("processor", "threads", "gpu", "torch")
    ]
    hours = [
        f"{len(chosen)} {name} {sum(run.seconds or 0.0 for run in chosen) / 3600:.2f} h"
        for kind, name in (("pretrain", "pretrainings"), ("finetune", "fine-tunings"))
        if (chosen := [run for run in runs if run.kind == kind])
    ]
    return (
        f"Hardware: {named[0]}, {named[1]} thread(s) a training, GPU {named[2]}; torch {named[3]}. Wall time, summed "
        f"over trainings: {', '.join(hours)}."
    )


def section(result: Result) -> list[str]:
    """The tables of one data set at one label budget."""
    lines = ["", f"### {result.title}", "", tables.markdown(tables.score_table(result))]
    if len(lesions := tables.lesion_table(result)):
        lines += ["Lesions (connected components), in percent but for the false positives:", ""]
        lines += [tables.markdown(lesions)]
    if result.comparisons:
        cases, patients = result.compared
        lines += [f"Differences of dice on {cases} cases of {patients} patients or groups:", ""]
        lines += [tables.markdown(tables.comparison_table(result))]
    if result.convergence:
        lines += ["Steps of fine-tuning, on the validation part:", ""]
        lines += [tables.markdown(tables.convergence_table(result))]
    return [*lines, *(f"- {note}" for note in result.notes)]


def figures(name: str, found: Sequence[Result], folder: Path) -> list[str]:
    """Dice over steps and the forest plot, saved beside the page."""
    lines = []
    for what, title, figure in (
        ("dice_over_steps", "dice over steps", draw_curves(found)),
        ("differences", "differences of dice with 95 % intervals", draw_forest(found)),
    ):
        if figure is not None:
            save(figure, folder / f"{name}_{what}.svg")
            lines += ["", f"![{title}]({name}_{what}.svg)"]
    return lines


def validation(collection: Collection) -> list[str]:
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
            cells.append(f"{statistics.mean(last):.1f}" if last else tables.NONE)
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return ["Dice on the validation part, in percent, behind the last step:", "", *lines]


def replace_section(page: Path, name: str, text: str) -> None:
    """Write ``text`` between the marks of ``name``, behind everything where the page has no such marks yet."""
    begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->\n"
    old = page.read_text(encoding="utf-8") if page.is_file() else f"# {page.stem}\n"
    if begin in old:
        before, rest = old.split(begin, 1)
        new = before + begin + text + end + rest.split(end, 1)[1]
    else:
        new = f"{old}\n{begin}{text}{end}"
    write_text(page, new)


if __name__ == "__main__":
    sys.exit(main())
