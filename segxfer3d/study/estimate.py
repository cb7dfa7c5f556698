"""How long a study will take: from trials that are done, and from a few timed steps where none is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from segxfer3d import documents
from segxfer3d.files import digest
from segxfer3d.schema.parsing import parse
from segxfer3d.study.attempts import OUTPUT, Launch, bundle_command, explain
from segxfer3d.study.states import DAMAGED, DONE, State
from segxfer3d.study.trials import Trial
from segxfer3d.temporary import temporary_folder

EPOCHS = 3
STEPS = 5
_SECONDS_BETWEEN_LOOKS = 0.02
# what makes no difference to how long a training takes, or too little to time it again
_FREE = {
    "seed", "init", "checkpoint", "label_count", "label_fraction", "lr", "decoder_warmup_epochs", "output_dir", "fold",
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """How long one training of a kind takes.

    Attributes:
        seconds: from start to end; None where it could not be found out.
        source: how it was found out, or why not.
        patients: in the train part, which labels are drawn from; None where that is not known.
    """

    seconds: float | None
    source: str
    patients: int | None = None


def kind_of(trial: Trial) -> str:
    """Trials of one kind take as long as each other."""
    knobs = {name: value for name, value in trial.knobs.items() if name not in _FREE}
    return digest([trial.config, knobs])


def costs(
    trials: Sequence[Trial],
    standing: Mapping[str, State],
    environment: Mapping[str, str],
    say: Callable[[str], None],
    launch: Launch = bundle_command,
) -> dict[str, Cost]:
    """What trials that are still to be run cost, by kind.

    Args:
        trials: of the study.
        standing: how they stand.
        environment: of trainings.
        say: told what is being timed.
        launch: makes the command of a trial.
    """
    by_kind: dict[str, Cost] = {}
    for trial in trials:
        kind = kind_of(trial)
        if kind in by_kind or not _to_run(standing[trial.id]):
            continue
        # what is recorded took its time on another machine
        done = [standing[t.id] for t in trials if kind_of(t) == kind]
        times = [state.seconds for state in done if state.name == DONE and not state.recorded]
        known = [seconds for seconds in times if seconds is not None]
        if known:
            by_kind[kind] = Cost(mean(known), f"mean of {len(known)} that are done")
        else:
            say(f"timing a few steps of {trial.id} ...")
            by_kind[kind] = timed(trial, environment, launch)
    return by_kind


def total(trials: Sequence[Trial], standing: Mapping[str, State], cost: Mapping[str, Cost], jobs: int) -> float | None:
    """Seconds until everything is done, as if ``jobs`` trainings at a time did not slow each other down.

    None where some kind's cost is unknown.
    """
    ends = dict.fromkeys(standing, 0.0)
    free = [0.0] * jobs
    for trial in trials:
        if not _to_run(standing[trial.id]):
            continue
        seconds = cost[kind_of(trial)].seconds
        if seconds is None:
            return None
        free.sort()
        start = max(free[0], *(ends[name] for name in trial.depends), 0.0)
        free[0] = ends[trial.id] = start + seconds
    return max(free)


def _to_run(state: State) -> bool:
    return state.name not in (DONE, DAMAGED)


def timed(trial: Trial, environment: Mapping[str, str], launch: Launch = bundle_command) -> Cost:
    """Run :data:`EPOCHS` epochs of :data:`STEPS` steps in a temporary folder, and scale that up.

    The first epoch warms up; the steps of the others are timed by the run itself, what comes between its lines in
    ``metrics.jsonl`` beyond them is validation and saving, and the rest, start and final table, comes once.
    """
    knobs = dict(trial.knobs)
    epochs, steps = knobs.get("max_epochs"), knobs.get("steps_per_epoch")
    if not isinstance(epochs, int) or not isinstance(steps, int):
        return Cost(None, "no estimate: the study does not say max_epochs and steps_per_epoch in numbers")
    interval = knobs.get("validation_interval", 1)
    knobs |= {"max_epochs": EPOCHS, "steps_per_epoch": min(STEPS, steps), "validation_interval": 1}
    if trial.kind == "finetune":
        knobs |= {"init": "random"}
        knobs.pop("checkpoint", None)
    with temporary_folder("segxfer3d-timing-") as place:
        folder = place / "run" / "timing"
        folder.mkdir(parents=True)
        lines, seconds, code = _watched(
            launch(replace(trial, knobs=knobs), {**knobs, "output_dir": str(folder), "resume": False}),
            folder,
            environment,
        )
        if code != 0 or len(lines) < EPOCHS:
            return Cost(None, f"no estimate: {explain(folder / OUTPUT, code)}")
        patients = _train_patients(folder / "split.json")
    step = mean(line["seconds"] for _, line in lines[1:]) / min(STEPS, steps)
    gaps = [after - before - line["seconds"] for (before, _), (after, line) in pairwise(lines)]
    between = max(0.0, mean(gaps))
    once = max(0.0, seconds - (lines[-1][0] - lines[0][0]) - step * min(STEPS, steps) - between)
    validations = epochs // interval if isinstance(interval, int) else epochs
    whole = once + epochs * steps * step + validations * between
    return Cost(
        whole, f"{1000 * step:.0f} ms a step, {between:.1f} s a validation, {once:.0f} s for start and end", patients
    )


def _train_patients(path: Path) -> int | None:
    """Patients in the train part; of images, whose train part is what is labeled, None."""
    split = documents.own(path) if path.is_file() else {}
    members = split.get("train")
    return len(members) if split.get("unit") == "patient" and isinstance(members, list) else None


def beyond_data(trials: Sequence[Trial], cost: Mapping[str, Cost]) -> list[str]:
    """What trials ask for more labels than there are, in words; one clause for each number of labels of a kind.

    Args:
        trials: of the study.
        cost: of their kinds, as far as they were timed.
    """
    clauses = {}
    for trial in trials:
        count, there = trial.knobs.get("label_count"), getattr(cost.get(kind_of(trial)), "patients", None)
        if trial.kind == "finetune" and isinstance(count, int) and there is not None and count > there:
            clauses[kind_of(trial), count] = f"{trial.id}: {count} labeled patients, but the train part has {there}"
    return list(clauses.values())


def _watched(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> tuple[list[tuple[float, dict[str, Any]]], float, int]:
    """Run a training; when each line of ``metrics.jsonl`` came, how long all took, and the exit status."""
    lines: list[tuple[float, dict[str, Any]]] = []
    metrics = folder / "metrics.jsonl"
    begun = time.monotonic()
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=dict(environment)
        )
        try:
            while (code := process.poll()) is None:
                _note(metrics, lines, time.monotonic() - begun)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
            process.wait()
    seconds = time.monotonic() - begun
    _note(metrics, lines, seconds)
    return lines, seconds, code


def _note(metrics: Path, lines: list[tuple[float, dict[str, Any]]], now: float) -> None:
    if metrics.is_file():
        whole = metrics.read_text(encoding="utf-8").split("\n")[:-1]
        lines += [(now, parse(line)) for line in whole[len(lines) :]]


def duration(seconds: float) -> str:
    """Seconds in words, to two units.

    Example:
        >>> [duration(s) for s in (8, 95, 4000, 200000)]
        ['8 s', '1 min 35 s', '1 h 6 min', '2 d 7 h']
    """
    whole = round(seconds)
    for size, name, smaller, inner in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {inner}"
    return f"{whole} s"
