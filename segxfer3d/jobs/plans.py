"""The plan of a fine-tuning: of the run that goes on, of a file, or made from the cases whose labels train."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from segxfer3d.config import groups, learning
from segxfer3d.config.options import Options
from segxfer3d.data.planning import Intensity, Plan, make_plan, take_fingerprint
from segxfer3d.data.planning.fitting import MOST_FEATURES
from segxfer3d.data.planning.make import BY_HAND
from segxfer3d.data.planning.words import plan_text
from segxfer3d.errors import InputError
from segxfer3d.jobs.shape import PLANNED_NETWORKS, Brought, own_levels
from segxfer3d.jobs.source import Source
from segxfer3d.run import processes
from segxfer3d.run.devices import Place
from segxfer3d.run.folder import RunFolder
from segxfer3d.training.capacity import memory_of, voxels_per_second

PLAN = "plan"  # the run's record of it


def find_plan(options: Options, run: RunFolder, place: Place, source: Source, brought: Brought) -> Plan:
    """The plan that the option ``plan`` asks for, or the one that the run goes on with.

    Args:
        options: of the job.
        run: told what was planned.
        place: where it runs, whose memory and speed count.
        source: the cases.
        brought: by the network that is transferred, which goes before what would be planned.

    Raises:
        InputError: a plan that cannot be read, or values that cannot be used.
    """
    asked = options[learning.Planned].plan
    if run.resume:
        return recorded_plan(run.path / f"{PLAN}.json")
    if asked != "data":
        return plan_of_file(Path(asked), options)
    volumes, minutes = options[groups.Volumes], options[learning.Learning].minutes
    fixed: dict[str, Any] = {
        "spacing": volumes.spacing,
        "patch_size": volumes.patch_size or brought.patch_size,
        "batch_size": options[groups.Training].batch_size,
        "width": options[groups.Network].width if options[groups.Network].network in PLANNED_NETWORKS else None,
        "intensity": None if volumes.intensity == "auto" else volumes.intensity,
        "window_low": volumes.window_low,
        "window_high": volumes.window_high,
        **own_levels(options, brought),
    }
    if brought.preprocessing is not None:
        fixed["spacing"] = fixed["spacing"] or brought.preprocessing.spacing
    amp = options[groups.Run].amp
    speed = None if minutes is None else voxels_per_second(place.device, amp=amp)
    plan = make_plan(
        take_fingerprint(source.split.labeled, source.case_set),
        memory=memory_of(place.device),
        minutes=minutes,
        voxels_per_second=speed,
        network=options[groups.Network].network,
        amp=amp,
        fixed=fixed,
    )
    plan = Plan.from_dict(json.loads(processes.of_first(json.dumps(plan.as_dict()))))  # speed and memory differ
    run.say(plan_text(plan))
    return plan


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
