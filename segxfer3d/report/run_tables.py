"""What was run, for the end of the page: facts, a table of all runs and one of all knobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from segxfer3d.config.learning import recipe_in
from segxfer3d.errors import some
from segxfer3d.files import names_hash
from segxfer3d.report.cells import NONE
from segxfer3d.report.collect import Collection
from segxfer3d.report.run_files import PERCENT, Run
from segxfer3d.report.table import Table
from segxfer3d.study.states import DAMAGED, DONE

_VALUES = 6  # of a knob that differs between runs, before "and n more"


def facts(collection: Collection) -> list[tuple[str, str]]:
    """What was run, on what, for how long."""
    done = [run for run in collection.runs if run.state in (DONE, DAMAGED)]
    finetunings = [run for run in done if run.kind == "finetune"]
    rows = [
        ("folder", str(collection.folder)),
        ("runs", f"{len(collection.runs)}, of which {len([r for r in done if r.state == DONE])} are done"),
        ("seeds", ", ".join(map(str, sorted({r.seed for r in finetunings if r.seed is not None}))) or NONE),
    ]
    for kind, title in (("pretrain", "pretraining"), ("finetune", "fine-tuning")):
        seconds = [run.seconds for run in collection.runs if run.kind == kind and run.seconds is not None]
        if seconds:
            words = f"{sum(seconds) / 3600:.2f} (wall time, summed over {len(seconds)} runs)"
            rows.append((f"hours of {title}", words))
    for name in dict.fromkeys(name for run in done for name in _versions(run)):
        values = dict.fromkeys(str(_versions(run).get(name)) for run in done if name in _versions(run))
        rows.append((name, "; ".join(values)))
    rows += [(f"code version of {job}", words) for job, words in code_versions(done).items()]
    for data in dict.fromkeys(run.data for run in finetunings):
        runs = [run for run in finetunings if run.data == data]
        cases = {names_hash(map(str, run.data_check["good"])) for run in runs if run.data_check.get("good")}
        tested = {names_hash(score.case for score in run.scores["dice"]) for run in runs if run.scores}
        rows.append((f"fingerprint of the cases of {data or 'the data'}", _fingerprints(cases)))
        rows.append((f"fingerprint of the test cases of {data or 'the data'}", _fingerprints(tested)))
    return rows


def code_versions(runs: Sequence[Run]) -> dict[str, str]:
    """Name of a job to the code versions that its runs ran, with the number of runs where there are several."""
    words = {}
    for job in dict.fromkeys(run.job for run in runs if run.code):
        codes = Counter(run.code for run in runs if run.job == job and run.code)
        counted = "; ".join(f"{code} ({number} runs)" for code, number in codes.items())
        words[job] = next(iter(codes)) if len(codes) == 1 else counted
    return words


def _fingerprints(different: set[str]) -> str:
    if len(different) > 3:
        return f"{len(different)} different ones"
    return ", ".join(sorted(different)) or NONE


def _versions(run: Run) -> dict[str, Any]:
    versions = run.description.get("versions", {})
    return versions if isinstance(versions, dict) else {}


SETTINGS = {
    "recipe": "recipe", "optimizer_name": "optimizer", "lr": "learning rate", "schedule": "schedule",
    "warmup_epochs": "warm-up epochs", "batch_size": "batch", "augmentation": "augmentation",
}  # fmt: skip


def settings_table(collection: Collection) -> Table:
    """How each arm was fine-tuned: what its runs had, and what was set for it alone, as after tuning each arm."""
    done = collection.finetunings()
    rows = []
    for name in dict.fromkeys(run.arm for run in done):
        runs = [run for run in done if run.arm == name]
        row = {"arm": name}
        for knob, title in SETTINGS.items():
            values = dict.fromkeys(recipe_in(r.knobs) if knob == "recipe" else r.knobs.get(knob) for r in runs)
            row[title] = some([NONE if value is None else value for value in values], 3, ", ")
        epochs = dict.fromkeys((run.knobs.get("max_epochs"), run.knobs.get("steps_per_epoch")) for run in runs)
        row["epochs x steps"] = some([f"{a} x {b}" for a, b in epochs], 3, ", ")
        alone = collection.arm(name).knobs
        row["set for it alone"] = ", ".join(f"{knob} {value}" for knob, value in alone.items()) or NONE
        rows.append(row)
    empty = {title for title in SETTINGS.values() if all(row[title] == NONE for row in rows)}
    return Table.of([{title: cell for title, cell in row.items() if title not in empty} for row in rows])


def run_table(collection: Collection) -> Table:
    """Every run: what it was, how it stands."""
    rows = []
    for run in collection.runs:
        dice = run.summary.get("dice")
        rows.append({
            "run": run.name,
            "job": run.job or run.kind,
            "arm": run.arm or NONE,
            "data": run.data or NONE,
            "labels": run.budget_name or NONE,
            "seed": NONE if run.seed is None else str(run.seed),
            "state": run.state,
            "minutes": NONE if run.seconds is None else f"{run.seconds / 60:.1f}",
            "dice": f"{PERCENT * dice:.1f}" if isinstance(dice, (int, float)) else NONE,
            "loaded": _loaded(run),
        })  # fmt: skip
    return Table.of(rows)


def _loaded(run: Run) -> str:
    """How many tensors were transferred, from ``transfer.json``."""
    loaded, left = run.transfer.get("loaded"), run.transfer.get("left")
    if not isinstance(loaded, list) or not isinstance(left, list):
        return NONE
    return f"{len(loaded)} of {len(loaded) + len(left)} tensors"


def knob_table(collection: Collection) -> Table:
    """Every knob: the value that all runs of a job share, or the values that differ."""
    rows = []
    for job in dict.fromkeys(run.job for run in collection.runs if run.job):
        runs = [run for run in collection.runs if run.job == job]
        for knob in dict.fromkeys(knob for run in runs for knob in run.knobs):
            values = list(dict.fromkeys(json.dumps(run.knobs.get(knob)) for run in runs))
            rows.append({"job": job, "knob": knob, "value": some(values, _VALUES, last=" ")})
    return Table.of(rows, ["job", "knob", "value"])
