"""Run the baseline, paper recipe, strong recipe and nnU-Net after minutes of one thread, and write its page.

``python scripts/baseline.py --data DIR [--only NAME=VALUE[,VALUE] ...] [--hours H] [--dry-run]`` runs the trials that
``docs/results/baseline`` does not have yet, one after the other, and adds each to it; ``--page`` writes
``docs/results/baseline.md`` from what is there. DIR holds Task04_Hippocampus, LIDC_VOIs and LGG_MRI. nnU-Net needs
``pip install "segxfer3d[nnunet]"``.

Stages: ``variants`` compares nnU-Net's trainers and patches, ``rates`` the learning rates of every method,
``ingredients`` the strong recipe with one thing changed at a time, all on validation patients; ``grid`` takes the best
of them and is measured on test patients, as ``ceiling``: what the minutes reach with every label.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from baseline_grid import (
    BATCH,
    DATA,
    INFERENCE,
    INGREDIENTS,
    PAPER,
    RULE,
    STRONG,
    VARIANTS,
    Trial,
    all_trials,
    chosen_trials,
    rate_of,
)
from baseline_page import page
from baseline_record import PLAIN, best_rate, best_variant, is_kept, keep, read_all
from lgg_flair import write_flair

from segxfer3d.data.case_list import write_case_list
from segxfer3d.errors import InputError

SCRIPTS = Path(__file__).parent
RECORDS = SCRIPTS.parent / "docs" / "results" / "baseline"
PAGE = RECORDS.with_suffix(".md")
STEP = 0.75  # of the windows of both programs
# CPU seconds of reading and testing, as the records of hippocampus and nodules have them, roughly, for the dry run
TESTING = {"paper": 40, "strong": 40, "nnunet": 80}


def main(arguments: Sequence[str] | None = None) -> None:
    """Say what is left, run some of it, or write the page."""
    options = _options(arguments)
    try:
        trials = chosen_trials(all_trials(), dict(options.only))
        left = [trial for trial in trials if not is_kept(options.records, trial)]
        print(outlook(trials, left))
        if not options.dry_run and not options.page:
            run_all(options, left)
        if options.page:
            PAGE.write_text(page(read_all(options.records)), encoding="utf-8")
            print(PAGE)
    except InputError as error:
        raise SystemExit(f"error: {error}") from error


def outlook(trials: Sequence[Trial], left: Sequence[Trial]) -> str:
    """What is done and what is left, in CPU hours."""
    lines, done = [], Counter(_kind(trial) for trial in trials)
    for kind, count in done.items():
        of = [trial for trial in left if _kind(trial) == kind]
        lines.append(f"{kind:<44}{count - len(of):>4} of {count:<4}{_hours(of):>7.1f} h left")
    return "\n".join(
        [*lines, f"{'in all':<44}{len(trials) - len(left):>4} of {len(trials):<4}{_hours(left):>7.1f} h left"]
    )


def run_all(options: argparse.Namespace, left: Sequence[Trial]) -> None:
    """Run trials until the hours are used.

    Raises:
        InputError: no data or work folder was named, or a training failed.
    """
    if not options.data:
        raise InputError("--data: where are Task04_Hippocampus, LIDC_VOIs and LGG_MRI? Expected their folder")
    for trial in left:
        used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) / 3600
        if used >= options.hours:
            return
        run = options.work / trial.path
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        with (run / "log.txt").open("w") as log:
            line = command(trial, options)
            environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPTS.parent)}
            failed = subprocess.run(line, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode
        if failed:
            raise InputError(f"{trial.path} failed, see {run / 'log.txt'}")
        about = json.loads((run / ("rival.json" if trial.method == "nnunet" else "ours.json")).read_text())
        names = {"": "cases.csv", **{name: f"cases_{name}.csv" for name in (PLAIN, *INFERENCE)}}
        tables = {kind: _rows(run / name) for kind, name in names.items() if (run / name).is_file()}
        keep(options.records, trial, about, tables)
        shutil.rmtree(run)
        print(f"{trial.path}: dice {about['dice']}, {about['steps']} steps in {about['seconds']} s", flush=True)


def command(trial: Trial, options: argparse.Namespace) -> list[str]:
    """The command line of a trial.

    Raises:
        InputError: the choice that it needs has not been made.
    """
    nnunet = trial.method == "nnunet"
    script = SCRIPTS / ("rival_nnunet.py" if nnunet else "baseline_ours.py")
    line = [sys.executable, str(script), str(data_folder(trial, options)), str(options.work / trial.path)]
    line += ["--label_count", str(trial.labels), "--seed", str(trial.seed), "--part", trial.part]
    if trial.part == "test":
        line += ["--first", str(DATA[trial.data].first)]
    return line + (_rival(trial, options) if nnunet else _ours(trial, options.records))


def _rival(trial: Trial, options: argparse.Namespace) -> list[str]:
    records, variant = options.records, trial.choice
    if trial.stage != "variants":
        variant = best_variant(read_all(records))
    chosen: dict[str, Any] = VARIANTS[variant]
    # the same patients are labeled wherever the same part is measured
    prepared = options.work / "prepared" / f"{trial.part}_{trial.data}_{trial.labels}_{trial.seed}"
    line = ["--seconds", str(60 * trial.minutes), "--trainer", chosen["trainer"], "--prepared", str(prepared)]
    line += ["--step", str(STEP)]
    if chosen["patch"] == "ours":
        line += ["--patch", ",".join(map(str, DATA[trial.data].patch)), "--batch", str(BATCH)]
    if chosen["features"]:
        line += ["--features", str(chosen["features"])]
    if trial.stage == "rates":
        line += ["--lr", str(rate_of(trial.choice))]
    elif trial.stage == "grid":
        line += ["--lr", str(rate_of(best_rate(read_all(records), "nnunet")))]
    return line


def _ours(trial: Trial, records: Path) -> list[str]:
    if trial.stage == "ingredients":  # the rate of each is the rule's, which knows its optimizer
        choice = RULE
    else:
        choice = trial.choice if trial.stage == "rates" else best_rate(read_all(records), trial.method)
    settings: dict[str, Any] = {
        "recipe": trial.method, "minutes": trial.minutes, "init": "random", "amp": False, "overlap": 1 - STEP,
        "lr": rate_of(choice),
    }  # fmt: skip
    if trial.stage == "ingredients":
        settings |= INGREDIENTS[trial.choice]
    if settings["recipe"] == "paper":  # the strong recipe plans patch, batch and network from the data and the minutes
        settings |= {"patch_size": list(DATA[trial.data].patch), **PAPER}
    line = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return line + ["--inference"] * (trial.choice == STRONG)


def data_folder(trial: Trial, options: argparse.Namespace) -> Path:
    """The folder of a trial's data; lists and channels are written when they are first asked for."""
    data = DATA[trial.data]
    source, made = Path(options.data) / data.folder, options.work / "data" / trial.data
    if not (data.min_slices or data.flair):
        return source
    if not (made / "dataset.json").is_file():
        if data.flair:
            write_flair(source, made)
        else:
            write_case_list(source, made, min_slices=data.min_slices)
    return Path(made)


def _kind(trial: Trial) -> str:
    return f"{trial.stage}, {trial.method}, {trial.data}, {trial.minutes} min, {trial.labels} labels"


def _hours(trials: Sequence[Trial]) -> float:
    return sum(60 * trial.minutes + TESTING[trial.method] for trial in trials) / 3600


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SEGXFER3D_DATA", ""), help="the folder of all data sets")
    parser.add_argument("--work", type=Path, default=Path("baseline_work"), help="where trainings write meanwhile")
    parser.add_argument("--records", type=Path, default=RECORDS, help="the records to add to")
    parser.add_argument(
        "--only", type=_only, action="extend", nargs="+", default=[], help="such as method=nnunet minutes=1,2"
    )
    parser.add_argument("--hours", type=float, default=float("inf"), help="CPU hours after which no trial begins")
    parser.add_argument("--dry-run", action="store_true", help="say what is left, and stop")
    parser.add_argument("--page", action="store_true", help="write the page from the records, and stop")
    return parser.parse_args(arguments)


def _only(text: str) -> tuple[str, list[str]]:
    name, _, values = text.partition("=")
    return name, values.split(",")


if __name__ == "__main__":
    main()
