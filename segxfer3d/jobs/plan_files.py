"""Plans that are read: of a file that the options name, or of the run that goes on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from segxfer3d.config import groups
from segxfer3d.config.options import Options
from segxfer3d.data.planning import Intensity, Plan
from segxfer3d.data.planning.fitting import MOST_FEATURES
from segxfer3d.data.planning.make import BY_HAND
from segxfer3d.errors import InputError


def recorded_plan(path: Path) -> Plan:
    """The plan that a run keeps.

    Raises:
        InputError: it is missing or damaged.
    """
    return _read(path, f"resume: {path} has the sizes of this run, and", "start a new run")


def plan_of_file(path: Path, options: Options) -> Plan:
    """The plan of a file, with what is set by hand in place of what it says.

    Args:
        path: of the file.
        options: of the job.

    Raises:
        InputError: it is none, or lacks what an option needs.
    """
    plan = _read(path, f"plan: {path}", "expected data, none, or a file of segxfer3d plan --json")
    volumes, width = options[groups.Volumes], options[groups.Network].width
    by_hand: dict[str, Any] = {
        "spacing": volumes.spacing,
        "patch_size": volumes.patch_size,
        "batch_size": options[groups.Training].batch_size,
    }
    if width is not None and width != plan.features[0]:
        by_hand["features"] = tuple(
            min(max(width, MOST_FEATURES), width * 2**level) for level in range(len(plan.features))
        )
    if volumes.intensity not in ("auto", plan.intensity.rule) or volumes.intensity == "window":
        by_hand["intensity"] = _intensity(path, volumes)
    by_hand = {name: value for name, value in by_hand.items() if value is not None and value != getattr(plan, name)}
    return dataclasses.replace(plan, **by_hand, reasons={**plan.reasons, **dict.fromkeys(by_hand, BY_HAND)})


def _intensity(path: Path, volumes: groups.Volumes) -> Intensity:
    if volumes.intensity == "foreground":
        raise InputError(
            f"intensity foreground: {path} has no intensities of the foreground; expected a plan with them, or "
            "--plan data"
        )
    if volumes.intensity == "window":
        return Intensity("window", volumes.window_low, volumes.window_high)
    return Intensity(volumes.intensity)


def _read(path: Path, what: str, instead: str) -> Plan:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{what} cannot be read ({error}); {instead}") from error
    try:
        return Plan.from_dict(content)
    except InputError as error:
        raise InputError(f"{what} is no plan ({error}); {instead}") from error
