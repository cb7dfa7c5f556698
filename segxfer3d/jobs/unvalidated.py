"""Options that need a validation part, where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.errors import InputError


def refuse_unvalidated(options: Options, number: int) -> None:
    """Refuse what somebody asked for that does nothing where nothing validates.

    What the bundle itself says is passed over (of ``genesis_pretrain`` that is ``keep best``), and so is a run that
    goes on: it goes on as it began.

    Args:
        options: of the job.
        number: cases of the validation part.

    Raises:
        InputError: the weights of the best validation, a stop, or a plateau are asked for.
    """
    training, fraction = options[groups.Training], options[groups.Data].validation_fraction
    if number or training.resume:
        return
    asked = {
        "keep": training.keep == "best",
        "patience": training.patience > 0 and training.schedule != "halving",  # which takes its period from it
        "schedule": training.schedule == "plateau",
    }
    values = {name: getattr(training, name) for name, needs in asked.items() if needs and _is_asked(options, name)}
    if values:
        said = ", ".join(f"{name} {value}" for name, value in values.items())
        need = "needs" if len(values) == 1 else "need"
        way = "a larger validation_fraction" if not fraction else "cases that validate"
        raise InputError(f"{said}: {need} a validation part (validation_fraction is {fraction:g}); expected {way}")


def _is_asked(options: Options, name: str) -> bool:
    """Whether somebody set an option of training, rather than the bundle as it is shipped."""
    return options.is_asked(name, _shipped(options.job).get(name))


@cache
def _shipped(job: str) -> Mapping[str, Any]:
    """The content of a shipped bundle; empty where none has the name."""
    path = shipped_folder() / f"{job}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
