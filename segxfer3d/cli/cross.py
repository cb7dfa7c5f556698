"""The command ``segxfer3d cross``: a fine-tuning of every fold, and one table of all cases."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segxfer3d.cli.arguments import FOLDER
from segxfer3d.cli.study import close, resources_of
from segxfer3d.config.stopping import status_of
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError, some

if TYPE_CHECKING:
    from segxfer3d.study.definition import Bundle, Study
    from segxfer3d.study.trials import Trial

FOLDS = 5
_ELSEWHERE = ("init", "checkpoint", "seed", "label_count", "label_fraction", "output_dir", "folds")
_REFUSED = {
    "fold": "every fold is trained; segxfer3d run trains one",
    "resume": "the same command goes on",
}

# which this command reads itself
_OWN = ("seed", "label_count", "label_fraction", "test_fraction", "minutes", "skip_bad_cases")


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Cross-validate: train every fold of a fine-tuning, one table of all cases.",
)
@click.argument("name")
@click.option(
    "--output_dir", "--output-dir", "-o", "folder", type=FOLDER, required=True, help="The folder of all folds."
)
@click.option("--folds", type=click.IntRange(2, 1000), help=f"How many [of the split file or the data, else {FOLDS}].")
@click.option("--jobs", "-j", type=click.IntRange(1), default=1, show_default=True, help="Trainings at a time.")
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads of a training [OMP_NUM_THREADS, else cores / jobs]."
)
@click.option("--fresh", is_flag=True, help="Start every training as a process of its own that imports all anew.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--KNOB VALUE...]")
def cross(
    name: str, folder: Path, folds: int | None, jobs: int, threads: int | None, fresh: bool, words: tuple[str, ...]
) -> None:
    """Train the fine-tuning NAME once for each fold, which it tests, on the other folds; knobs as `segxfer3d run NAME
    --help` lists them.

    Patients are dealt into folds by --split_seed, or the folds are those of --split_file or of the data set. The same
    command goes on after a stop. At the end cases.csv and cases_summary.json are of all cases, each measured by the
    training that did not see it; `segxfer3d run infer --model_dir FOLDER` averages what all folds say.
    """
    from segxfer3d.cli.cross_plan import PLANNED_FROM, checked_folds, shared_plan
    from segxfer3d.evaluation.folds import write_folds
    from segxfer3d.evaluation.summary import format_table
    from segxfer3d.files import write_json
    from segxfer3d.study import grid, precision, runner
    from segxfer3d.study.launching import started_from
    from segxfer3d.study.states import DONE
    from segxfer3d.study.trials import CROSS_PLAN

    bundle = fine_tuning(name)
    knobs = typed_knobs(words, bundle)
    number = checked_folds(bundle, knobs, count_folds(folds, knobs, bundle.name), usual=FOLDS)
    resources = resources_of(jobs, threads, None)
    if (chosen := precision.of_knobs(bundle.config, knobs, folder, resources.environment())) is not None:
        click.echo(chosen.sentence())
        knobs |= {} if chosen.amp is None else {"amp": chosen.amp}
    plan = shared_plan(bundle, knobs, folder)
    study = as_study(bundle, knobs, number, folder)
    with runner.study_lock(folder):
        precision.keep(folder, chosen)
        if plan is not None:
            path = folder.absolute() / CROSS_PLAN
            write_json(path, plan)
            study = as_study(bundle, {**knobs, "plan": str(path)}, number, folder)
        trials = grid.expand(study)
        grid.check_folder(study, trials, folder)
        grid.write(study, trials, folder)
        try:
            with started_from([str(bundle.path)], fresh=fresh) as processes:
                standing = runner.run(trials, folder, resources, click.echo, processes=processes)
        except KeyboardInterrupt as error:
            click.echo("stopped; the same command goes on", err=True)
            raise SystemExit(status_of(error)) from None
        if all(state.name == DONE for state in standing.values()):
            runs = [folder.absolute() / trial.folder for trial in _in_order(trials)]
            table = write_folds(folder.absolute(), runs, planned_from="" if plan is None else PLANNED_FROM)
            click.echo(format_table(f"{number} folds, each case tested once", table.summary))
            click.echo(f"every case: {folder / 'cases.csv'}")
            click.echo(f"all folds together: segxfer3d run infer --model_dir {folder} --input ...")
    close(trials, standing)


def fine_tuning(name: str) -> Bundle:
    """The bundle of a fine-tuning, by its name or path.

    Raises:
        InputError: there is none, or it tests nothing that folds could be made of.
    """
    from segxfer3d.config.shipped import find_bundle
    from segxfer3d.study.code import parse_config
    from segxfer3d.study.definition import Bundle
    from segxfer3d.study.options import options_of

    path = find_bundle(name)
    try:
        config = parse_config(path)
    except (OSError, ValueError) as error:
        raise InputError(f"bundle {path}: cannot be read ({error})") from error
    known = options_of(config)
    if not {"fold", "init", "checkpoint"} <= known:
        raise InputError(
            f"bundle {path.stem}: no fine-tuning with the knob fold; expected one, such as genesis_finetune"
        )
    return Bundle(path.stem, path.resolve(), config, known)


def typed_knobs(words: Sequence[str], bundle: Bundle) -> dict[str, Any]:
    """Knobs as they were typed, in their types.

    Raises:
        InputError: an unknown knob, a value that is not allowed, or an expression where this command needs the value
            itself; all at once.
    """
    from segxfer3d.config.command_line import check_command_line
    from segxfer3d.study.options import convert, table

    texts = check_command_line(["", "", *words], bundle.config, bundle.knobs)
    problems, knobs = [], {}
    for name, text in texts.items():
        if name in _REFUSED:
            problems.append(f"--{name}: {_REFUSED[name]}")
        elif name not in bundle.knobs:
            problems.append(f"--{name}: no knob; folds are trained with knobs alone")
        elif is_expression(text) and text != "$None" and name in _OWN:
            problems.append(f"--{name}: expected {table()[name].expected}, no expression, got {text!r}")
        elif is_expression(text) and text != "$None":
            knobs[name] = text
        else:
            try:
                knobs[name] = _absolute(table()[name].limits.path, convert(name, _value(text, table()[name].type)))
            except (ValueError, TypeError, OverflowError):
                problems.append(f"--{name}: expected {table()[name].expected}, got {text!r}")
    if not knobs.get("dataset_dir") and not problems:
        problems.append("--dataset_dir: where is the data? Expected its folder")
    if knobs.get("test_fraction"):
        problems.append("--test_fraction: beside folds; each of them is tested")
    if problems:
        raise InputError("; ".join(problems))
    return knobs


def count_folds(folds: int | None, knobs: Mapping[str, Any], name: str) -> int | None:
    """How many folds are asked for, or a split file has; None where neither says it. ``name`` is the bundle's.

    Raises:
        InputError: a split file without folds, or with another number of them, or that tests a name twice.
    """
    from segxfer3d.data.split_file import read_split_file

    if not knobs.get("split_file"):
        return folds
    file = read_split_file(str(knobs["split_file"]))
    if not file.folded:
        raise InputError(f"split_file {file.path}: has one split and no folds; segxfer3d run {name} trains on it")
    file.of_fold(0, folds)
    tested = [name for parts in file.splits for name in parts.get("test", ())]
    if twice := sorted({name for name in tested if tested.count(name) > 1}):
        raise InputError(f"split_file {file.path}: several folds test {some(twice, 10, ', ')}; expected each once")
    return len(file.splits)


def as_study(bundle: Bundle, knobs: Mapping[str, Any], folds: int, folder: Path) -> Study:
    """A study of one arm, which the runner of studies can run."""
    from segxfer3d.config.initializations import INITIALIZATIONS, SCENARIOS
    from segxfer3d.study.definition import Arm, Budget, Stage, Study

    checkpoint = knobs.get("checkpoint") or None
    init = str(knobs.get("init") or ("encoder" if checkpoint else "random"))
    if init not in INITIALIZATIONS:
        raise InputError(f"--init {init}: expected one of {', '.join(INITIALIZATIONS)}")
    count, fraction = knobs.get("label_count"), knobs.get("label_fraction")
    name, value = ("all", 1.0)
    if count is not None:
        name, value = f"n{count}", float(count)
    elif fraction is not None:
        name, value = f"f{fraction:g}", float(fraction)
    data = re.sub(r"[^A-Za-z0-9._+-]", "_", Path(str(knobs["dataset_dir"])).name).lstrip("._+-") or "data"
    return Study(
        name=f"cross-{bundle.name}",
        description=f"{folds} folds of {data}",
        file=folder.absolute() / "study.json",
        parameters={},
        common={key: value for key, value in knobs.items() if key not in _ELSEWHERE},
        pretrain={},
        finetune=Stage(bundle, {"progress": False}),
        arms={init: Arm(init, None, checkpoint, SCENARIOS[init], {})},
        data={data: ({}, {})},
        budgets=[Budget(name, value, {"label_count": count, "label_fraction": fraction})],
        seeds=[int(knobs.get("seed", 0))],
        folds=folds,
    )


def _in_order(trials: Sequence[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda trial: trial.fold or 0)


def _value(text: str, type_: str) -> Any:
    """What a text of the command line means, as MONAI's reads it."""
    if text == "$None":
        return None
    if type_.split(" ")[0] == "str":
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _absolute(path: str, value: Any) -> Any:
    """Trainings are started from anywhere."""
    return str(Path(value).absolute()) if path and value else value
