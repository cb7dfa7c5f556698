"""Where trainings that are compared were made from different data, by what each keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segxfer3d.errors import InputError, some
from segxfer3d.report.run_files import Problem, Run
from segxfer3d.schema.kinds import refuse
from segxfer3d.schema.own_files import KINDS
from segxfer3d.schema.parsing import parse
from segxfer3d.study.same_data import ACCEPTED, MADE_FROM, OTHER, Seen, Training
from segxfer3d.study.states import DONE


def other_data(runs: Sequence[Run]) -> list[Problem]:
    """Of trainings that are done: which were made from other data than those before them, and what is another.

    Args:
        runs: of a study, or of any folder.
    """
    seen = Seen()
    problems = []
    for run in runs:
        if run.state != DONE or run.kind not in ("pretrain", "finetune"):
            continue
        parts = kept(run, MADE_FROM, {})
        training = Training(run.name, run.kind, run.job, run.knobs, parts, kept(run, ACCEPTED, []))
        if words := seen.differences(training):
            problems.append(Problem(run.name, f"{OTHER}: {some(words, 5)}"))
    return problems


def kept(run: Run, name: str, nothing: Any) -> Any:
    """A file that a run kept; ``nothing`` where an earlier version kept none, or it cannot be read: the tables do
    without."""
    try:
        content = parse(run.text(name)) if run.has(name) else nothing
        refuse(KINDS[name], content)
    except (OSError, ValueError, InputError):
        return nothing
    return content
