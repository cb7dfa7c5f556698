"""What came of a search: its trials as a table, the best of them as a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.study.search_file import Search


@dataclass(frozen=True)
class Tried:
    """A trial of a search.

    Attributes:
        number: from 0.
        knobs: as suggested.
        value: of the metric; None where it failed.
        error: why it failed.
        seconds: it took, where it is done.
    """

    number: int
    knobs: Mapping[str, Any]
    value: float | None
    error: str = ""
    seconds: float | None = None


def sentence(plan: Search, trial: Tried) -> str:
    """A trial in a line: its settings, and what came of them."""
    shown = ", ".join(f"{name} {_short(value)}" for name, value in trial.knobs.items())
    came = f"failed: {trial.error.splitlines()[0]}" if trial.value is None else f"{plan.metric} {trial.value:.5g}"
    return f"trial {trial.number}: {shown}: {came}"


def write(plan: Search, folder: Path, tried: Sequence[Tried]) -> None:
    """Write ``trials.csv`` and, where a trial has a value, ``best.json``.

    Raises:
        InputError: the folder cannot be written.
    """
    rows = [
        {
            "trial": trial.number, plan.metric: trial.value, **{name: trial.knobs[name] for name in plan.space},
            "seconds": trial.seconds, "error": trial.error,
        }
        for trial in tried
    ]  # fmt: skip
    files.write_rows(folder / "trials.csv", rows, ["trial", plan.metric, *plan.space, "seconds", "error"])
    if tried and tried[0].value is not None:
        best = {
            "metric": plan.metric,
            "value": tried[0].value,
            "knobs": dict(tried[0].knobs),
            "folder": f"trials/{tried[0].number:04d}",
            "command": command(plan, tried[0]),
        }
        files.write_json(folder / "best.json", best)


def command(plan: Search, trial: Tried) -> str:
    """The command line that trains with the settings of a trial."""
    words = ["python", "-m", "monai.bundle", "run", "--config_file", str(plan.bundle.path)]
    for name, value in {**plan.knobs, **trial.knobs}.items():
        words += [f"--{name}", "$None" if value is None else str(value)]
    return shlex.join(words)


def table(plan: Search, tried: Sequence[Tried]) -> str:
    """The trials for the console, the best first."""
    rows = [["trial", plan.metric, *plan.space, "minutes"]]
    for trial in tried:
        value = "failed" if trial.value is None else f"{trial.value:.5g}"
        minutes = "–" if trial.seconds is None else f"{trial.seconds / 60:.1f}"
        rows.append([str(trial.number), value, *(_short(trial.knobs[name]) for name in plan.space), minutes])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines += [f"trial {trial.number} failed: {trial.error.splitlines()[0]}" for trial in tried if trial.value is None]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
