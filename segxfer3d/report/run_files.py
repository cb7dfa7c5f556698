"""What one run left in its folder, read so that a damaged file costs that file and not the report."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segxfer3d import documents
from segxfer3d.errors import InputError, reason, some
from segxfer3d.evaluation.previews import Preview, read_previews
from segxfer3d.report.scores import all_scores
from segxfer3d.schema.kinds import ANYTHING, LIST, NUMBER, OBJECT, Entries, refuse
from segxfer3d.schema.own_files import KINDS
from segxfer3d.schema.parsing import parse
from segxfer3d.spreadsheets import plain_csv, scores_hash
from segxfer3d.statistics.scores import Score
from segxfer3d.study.restoring import AGAIN, outcome
from segxfer3d.study.states import DAMAGED, DONE, FAILED, RECORDED, STOPPED, WAITING
from segxfer3d.study.trials import TRIAL_FILE, TRIALS_FILE

MEASURES = ("dice", "iou")  # case by case
PERCENT = 100.0
PARTS = ("pretrain", "train", "validation", "test")  # of split.json

_LATER = (TRIALS_FILE, "cka.json")  # looked at entry by entry, so that a damaged one costs that entry alone
_LINE = Entries({"step": NUMBER}, {"validation_dice": NUMBER})

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with the files.

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
        pretrain_seed: of the pretraining that it is, or starts from, where the study repeats it.
        pretext: the job that made its checkpoint, or what else is known of that; empty where it has none.
        start: path of that checkpoint, where no study names it.
        description: ``run.json``: job, knobs, versions, command.
        scores: measure to a score for each case, **in percent**; only of fine-tunings that are done.
        summary: ``cases_summary.json``, its names as :func:`renamed`.
        curve: (step, dice in percent on the validation part) of every validation.
        seconds: it took; None where it has not ended.
        split, labels, data_check, transfer: the files of these names; empty where there are none.
        error: why it failed.
        code: code version that it ran; empty where only its own folder could tell.
        packed: the files that it left, name to text, of a run that is read from a record; None: they are in the folder.
        channel: that its pictures show of volumes of several; empty: the first.
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
    pretrain_seed: int | None = None
    pretext: str = ""
    start: str = ""
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
    code: str = ""
    packed: Mapping[str, str] | None = field(default=None, repr=False)
    channel: str = ""

    def has(self, name: str) -> bool:
        """Whether it left a file of this name."""
        return name in self.packed if self.packed is not None else (self.folder / name).is_file()

    def text(self, name: str, errors: str = "strict") -> str:
        """What is in a file that it left, line ends as they are; ``errors`` as of ``bytes.decode``.

        Raises:
            OSError: it cannot be read.
            UnicodeDecodeError: it is no text.
            InputError: a table that a spreadsheet has spoiled, see :func:`~segxfer3d.spreadsheets.plain_csv`.
        """
        if self.packed is not None:
            return self.packed[name]
        text = (self.folder / name).read_bytes().decode("utf-8", errors)
        return plain_csv(text) if name.endswith(".csv") else text

    @property
    def job(self) -> str:
        """Name of the bundle."""
        return str(self.description.get("job", ""))

    @property
    def unit(self) -> str:
        """What was split and labeled: ``patient``, or ``case`` in studies of images.

        Older runs do not say it in ``split.json``; those of images named cases alone in ``labels.json``.
        """
        of_cases = "cases" in self.labels and "patients" not in self.labels
        return str(self.split.get("unit") or ("case" if of_cases else "patient"))

    @property
    def units(self) -> str:
        """The same in sentences, a plural: a case that is split by itself is an image."""
        return "patients" if self.unit == "patient" else "images"

    def part(self, name: str) -> list[Any]:
        """Who is in a part of the split, in units; empty where ``split.json`` does not tell."""
        members = self.split.get(name)
        return members if isinstance(members, list) else []

    def labeled(self) -> list[Any]:
        """Whose labels were used, in units; empty where ``labels.json`` does not tell."""
        names = self.labels.get("patients" if self.unit == "patient" else "cases")
        return names if isinstance(names, list) else []

    @property
    def knobs(self) -> dict[str, Any]:
        """As they were set."""
        knobs = self.description.get("knobs", {})
        return knobs if isinstance(knobs, dict) else {}

    def previews(self) -> list[Preview]:
        """Small pictures of some cases; read anew each time, they are large.

        Raises:
            InputError: the file is damaged, or has no such channel.
        """
        return read_previews(self.folder, self.channel)


def read_run(run: Run) -> tuple[Run, list[Problem]]:
    """How a run stands and what it says of itself; :func:`read_results` reads its scores and curve.

    Args:
        run: its folder, and what is known from elsewhere.
    """
    problems: list[Problem] = []
    done, failed, begun = (run.has(name) for name in ("done.json", "failed.json", "run.json"))
    state = DONE if done else FAILED if failed else STOPPED if begun else WAITING
    ended = _read(run, f"{state}.json", problems) if done or failed else {}
    if done and not begun:
        problems.append(Problem(run.name, "run.json is missing"))
    described = replace(
        run,
        state=state,
        description=_read(run, "run.json", problems),
        seconds=_number(ended.get("seconds")),
        split=_read(run, "split.json", problems),
        labels=_read(run, "labels.json", problems),
        data_check=_read(run, "data_check.json", problems),
        transfer=_read(run, "transfer.json", problems),
        error=str(ended.get("error", "failed.json does not say why")) if failed and not done else "",
        code=_code(run, problems),
    )
    if done and not _read(run, AGAIN, problems).get("same", True):
        problems.append(Problem(run.name, outcome(_read(run, AGAIN, []))))
    return described, problems


def _code(run: Run, problems: list[Problem]) -> str:
    """The code version: of the record that stands for a trial, or of the trial."""
    name = RECORDED if run.has(RECORDED) else TRIAL_FILE
    parts = _read(run, name, problems).get("parts")
    return str(parts.get("code_version", "")) if isinstance(parts, dict) else ""


def read_results(run: Run) -> tuple[Run, list[Problem]]:
    """A run with its curve, and a fine-tuning that is done with its scores; where those are damaged, so is the run."""
    problems: list[Problem] = []
    try:
        run = replace(run, curve=read_curve(run, problems))
    except OSError as error:
        problems.append(Problem(run.name, f"metrics.jsonl cannot be read ({error})"))
    if run.kind != "finetune" or run.state != DONE:
        return run, problems
    try:
        if run.budget is None or run.seed is None:
            raise InputError("run.json does not tell its seed")
        cases = run.text("cases.csv")
        noted, is_now = _read(run, "done.json", []).get("cases"), scores_hash(cases)
        if noted not in (None, is_now):  # older runs do not note it
            raise InputError(f"cases.csv was edited since the run ended (its hash is {is_now[:8]}, not {noted[:8]})")
        like = Score(run.arm, run.budget, run.seed, "", "", 0.0, run.pretrain_seed)
        scores = all_scores(cases, like, MEASURES, file="cases.csv", factor=PERCENT, classes=True)
        for score in (score for of_measure in scores.values() for score in of_measure):
            if not math.isfinite(score.value):
                raise InputError(f"cases.csv: a score of case {score.case} is not finite")
    except (InputError, OSError, UnicodeDecodeError, csv.Error) as error:
        said = f"cases.csv cannot be read ({reason(error)})" if isinstance(error, OSError) else str(error)
        problems.append(Problem(run.name, f"left out of the tables: {said}"))
        return replace(run, state=DAMAGED), problems
    return replace(run, scores=scores, summary=renamed(_read(run, "cases_summary.json", problems))), problems


def renamed(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary with today's names: older ones called the dice of all voxels ``genesis_dice``, and had no other."""
    if "pooled_dice" in summary:
        return summary
    return {"pooled_dice" if name == "genesis_dice" else name: value for name, value in summary.items()}


def read_curve(run: Run, problems: list[Problem]) -> Curve:
    """(step, dice in percent) of the lines of ``metrics.jsonl`` with a validation; lines that are damaged are left out.

    The half line that a killed training leaves at the end is no damage.
    """
    points: list[tuple[float, float]] = []
    bad = []
    if not run.has("metrics.jsonl"):
        if run.state == DONE and run.kind in ("pretrain", "finetune"):
            problems.append(Problem(run.name, "metrics.jsonl is missing: no curve"))
        return ()
    lines = run.text("metrics.jsonl", "replace").splitlines()
    for number, text in enumerate(lines, 1):
        try:
            line = parse(text)
            refuse(_LINE, line)
            if "validation_dice" not in line:
                continue
            step, dice = float(line["step"]), PERCENT * float(line["validation_dice"])
            if step <= (points[-1][0] if points else -math.inf):
                raise ValueError
            points.append((step, dice))
        except ValueError:
            if number < len(lines) or run.state == DONE:
                bad.append(number)
    if bad:
        lines_of = some(bad, 5, ", ", last=" ")
        problems.append(Problem(run.name, f"metrics.jsonl: damaged in line {lines_of}; left out of the curves"))
    return tuple(points)


def read_json(path: Path, expected: type, where: str, problems: list[Problem]) -> Any:
    """A JSON file of this type (``dict`` or ``list``); an empty one where it is missing, or damaged: a problem.

    Args:
        path: of the file.
        expected: type of its content.
        where: it is, for the problem.
        problems: this one is added to.
    """
    if not path.is_file():
        return expected()
    return _parsed(lambda: documents.text_of(path), expected, path.name, where, problems)


def _parsed(read: Callable[[], str], expected: type, name: str, where: str, problems: list[Problem]) -> Any:
    try:
        content = parse(read())
        refuse(OBJECT if expected is dict else LIST, content)
        if name not in _LATER:
            refuse(KINDS.get(name, ANYTHING), content)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else error
        problems.append(Problem(where, f"{name} cannot be read ({why})"))
        return expected()
    return content


def _read(run: Run, name: str, problems: list[Problem]) -> dict[str, Any]:
    if not run.has(name):
        return {}
    content: dict[str, Any] = _parsed(lambda: run.text(name), dict, name, run.name, problems)
    return content


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
