"""What one run left in its folder, read so that a damaged file costs that file and not the report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError
from segxfer3d.previews import Preview, read_previews
from segxfer3d.study.scores import Score, read_scores

MEASURES = ("dice", "iou")  # case by case
PERCENT = 100.0
DONE, FAILED, STOPPED, WAITING, DAMAGED = "done", "failed", "stopped", "waiting", "damaged"

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with what was found.

    Attributes:
        where: the folder, below the one that is reported on.
        what: in words.
    """

    where: str
    what: str


@dataclass(frozen=True, eq=False)
class Run:
    """One training (or evaluation) and what it left.

    Attributes:
        name: its folder, below the one that is reported on.
        folder: where it is.
        kind: ``pretrain``, ``finetune``, or another job's name.
        state: ``done``, ``failed``, ``stopped`` (begun and not ended, or still running), ``waiting`` (not begun),
            ``damaged`` (ended, but what the tables need cannot be read).
        arm, data, budget, budget_name, seed: what it was; empty or None for a pretraining.
        pretext: the job that made its checkpoint, or what else is known of that; empty where it has none.
        description: ``run.json``: job, knobs, versions, command.
        scores: measure to a score for each case, **in percent**; only of fine-tunings that are done.
        summary: ``cases_summary.json``, as it is.
        curve: (step, dice in percent on the validation part) of every validation.
        seconds: it took; None where it has not ended.
        split, labels, data_check, transfer: the files of these names; empty where there are none.
        error: why it failed.
    """

    name: str
    folder: Path
    kind: str
    state: str
    arm: str = ""
    data: str = ""
    budget: float | None = None
    budget_name: str = ""
    seed: int | None = None
    pretext: str = ""
    description: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, list[Score]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    curve: Curve = ()
    seconds: float | None = None
    split: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    data_check: dict[str, Any] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def job(self) -> str:
        """Name of the bundle."""
        return str(self.description.get("job", ""))

    @property
    def knobs(self) -> dict[str, Any]:
        """As they were set."""
        knobs = self.description.get("knobs", {})
        return knobs if isinstance(knobs, dict) else {}

    def previews(self) -> list[Preview]:
        """Small pictures of some cases; read anew each time, they are large.

        Raises:
            InputError: the file is damaged.
        """
        return read_previews(self.folder)


def read_run(run: Run) -> tuple[Run, list[Problem]]:
    """Fill in what a run's folder holds, and list what is wrong with it.

    Args:
        run: its folder, and what is known from elsewhere (kind, arm, budget, seed).
    """
    problems: list[Problem] = []

    def read(name: str, needed: bool = False) -> dict[str, Any]:
        path = run.folder / name
        if not path.is_file():
            if needed:
                problems.append(Problem(run.name, f"{name} is missing"))
            return {}
        try:
            content = json.loads(path.read_text())
            if not isinstance(content, dict):
                raise ValueError("no JSON object")
        except (OSError, ValueError) as error:
            problems.append(Problem(run.name, f"{name} cannot be read ({error})"))
            return {}
        return content

    done, failed = (run.folder / "done.json").is_file(), (run.folder / "failed.json").is_file()
    begun = (run.folder / "run.json").is_file()
    state = DONE if done else FAILED if failed else STOPPED if begun else WAITING
    found = replace(run, state=state, description=read("run.json", needed=done))
    ended = read("done.json") if done else read("failed.json") if failed else {}
    found = replace(
        found,
        seconds=_number(ended.get("seconds")),
        error=str(ended.get("error", "failed.json does not say why")) if state == FAILED else "",
        **{name: read(f"{name}.json") for name in ("split", "labels", "data_check", "transfer")},
    )
    found = replace(found, curve=_read(problems, found, read_curve))
    return (_with_scores(found, problems, read) if found.kind == "finetune" and done else found), problems


def _with_scores(run: Run, problems: list[Problem], read: Callable[..., dict[str, Any]]) -> Run:
    """The cases of a fine-tuning that is done; without them it is damaged."""
    if run.budget is None or run.seed is None:
        problems.append(Problem(run.name, "left out of the tables: run.json does not tell its seed or labels"))
        return replace(run, state=DAMAGED)
    try:
        scores = {
            measure: [
                replace(score, value=PERCENT * score.value)
                for score in read_scores(run.folder / "cases.csv", run.arm, run.budget, run.seed, measure)
            ]
            for measure in MEASURES
        }
        for score in (score for of_measure in scores.values() for score in of_measure):
            if not math.isfinite(score.value):
                raise InputError(f"{run.folder / 'cases.csv'}: a score of case {score.case} is not finite")
    except (InputError, UnicodeDecodeError) as error:
        text = str(error).replace(f"{run.folder}/", "")
        problems.append(Problem(run.name, f"left out of the tables: {text}"))
        return replace(run, state=DAMAGED)
    return replace(run, scores=scores, summary=read("cases_summary.json", needed=True))


def read_curve(run: Run, problems: list[Problem]) -> Curve:
    """(step, dice in percent) of the lines of ``metrics.jsonl`` with a validation; lines that are damaged are left out.

    The half line that a killed training leaves at the end is no damage.
    """
    path = run.folder / "metrics.jsonl"
    points: list[tuple[float, float]] = []
    bad = []
    if not path.is_file():
        if run.state == DONE and run.kind in ("pretrain", "finetune"):
            problems.append(Problem(run.name, "metrics.jsonl is missing: no curve"))
        return ()
    lines = path.read_text(errors="replace").splitlines()
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            if "validation_dice" not in line:
                line["step"] / 1
                continue
            step, dice = float(line["step"]), PERCENT * float(line["validation_dice"])
            if not (math.isfinite(dice) and step > (points[-1][0] if points else -math.inf)):
                raise ValueError
            points.append((step, dice))
        except (ValueError, TypeError, KeyError):
            if number < len(lines) or run.state == DONE:
                bad.append(number)
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        problems.append(Problem(run.name, f"metrics.jsonl: damaged in line {shown}; left out of the curves"))
    return tuple(points)


def _read(problems: list[Problem], run: Run, read: Callable[[Run, list[Problem]], Curve]) -> Curve:
    try:
        return read(run, problems)
    except OSError as error:
        problems.append(Problem(run.name, f"metrics.jsonl cannot be read ({error})"))
        return ()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
