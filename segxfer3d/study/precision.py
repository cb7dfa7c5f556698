"""Whether the trainings of a study compute in bf16, where it does not say: chosen once, so that they are alike.

The choice is kept in ``precision.json`` of the study's folder (or that of a search, or of a cross-validation), and
holds on whatever machine goes on with it::

    amp           whether every training whose knob ``amp`` is left open computes in bf16
    bf16_speedup  what was measured; null where it was not
    by            what chose
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.config import amp
from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError
from segxfer3d.study import grid
from segxfer3d.study.code import read_config
from segxfer3d.study.definition import Study
from segxfer3d.study.launching import PYTHON
from segxfer3d.study.records import read_records
from segxfer3d.study.search_file import Search
from segxfer3d.study.trials import Trial

PRECISION = "precision.json"
MODULE = "segxfer3d.run.precision"  # a process: nothing of torch is imported here
AMP = "amp"


@dataclass(frozen=True)
class Precision:
    """What trainings compute in.

    Attributes:
        amp: in bf16; None: each chooses for itself, for their device is not there to be asked.
        speedup: of bf16 over float32, where it was measured.
        by: what chose, in words.
    """

    amp: bool | None
    speedup: float | None
    by: str

    def sentence(self) -> str:
        """A line for the console."""
        if self.amp is None:
            return f"each training chooses its precision: {self.by}"
        return f"{'bf16' if self.amp else 'float32'} in all trainings of which nothing else is said: {self.by}"

    def as_dict(self) -> dict[str, Any]:
        """The content of ``precision.json``."""
        return {AMP: self.amp, "bf16_speedup": self.speedup, "by": self.by}


def is_open(config: Mapping[str, Any], knobs: Mapping[str, Any]) -> bool:
    """Whether a training's precision is left to the device.

    Args:
        config: its bundle's.
        knobs: that are set.
    """
    return AMP not in knobs and config.get(AMP) == amp.BY_DEVICE


def settle(
    study: Study, folder: Path, environment: Mapping[str, str], record: Path | None = None
) -> tuple[Study, list[Trial], Precision | None]:
    """A study and its trials with what those compute in of which it says nothing, and why; None where it says of all.

    Args:
        study: as its file says.
        folder: of the study, which keeps what was chosen before.
        environment: of trainings.
        record: of the study, whose trainings are gone on from.

    Raises:
        InputError: data that cannot be read; what was chosen before, or the record, is damaged; or it cannot be
            measured.
    """
    trials = grid.expand(study)
    left_open = [trial.knobs for trial in trials if is_open(read_config(trial.config), trial.knobs)]
    if not left_open:
        return study, trials, None
    found = _chosen(folder, left_open, environment, None if record is None else _recorded(record))
    study = replace(study, amp=found.amp)
    return study, grid.expand(study), found


def of_knobs(
    config: Mapping[str, Any], knobs: Mapping[str, Any], folder: Path, environment: Mapping[str, str]
) -> Precision | None:
    """As :func:`settle`, of trainings with the same bundle and knobs."""
    return _chosen(folder, [knobs], environment) if is_open(config, knobs) else None


def of_search(plan: Search, folder: Path, environment: Mapping[str, str]) -> Search:
    """A search with what its trainings compute in, which its folder keeps."""
    found = of_knobs(plan.bundle.config, {**plan.space, **plan.knobs}, folder, environment)
    keep(folder, found)
    if found is None or found.amp is None:
        return plan
    return replace(plan, knobs={**plan.knobs, AMP: found.amp})


def keep(folder: Path, precision: Precision | None) -> None:
    """Write ``precision.json``, unless it is there, or nothing was chosen.

    Raises:
        InputError: it cannot be written.
    """
    if precision is not None and precision.amp is not None and not (folder / PRECISION).exists():
        files.write_json(folder / PRECISION, precision.as_dict())


def _chosen(
    folder: Path, knobs: Sequence[Mapping[str, Any]], environment: Mapping[str, str], recorded: bool | None = None
) -> Precision:
    if (folder / PRECISION).is_file():
        return _kept(folder / PRECISION)
    if recorded is not None:
        return Precision(recorded, None, "as its record has them")
    if (said := amp.said()) is not None:
        return Precision(said, None, f"{amp.VARIABLE} says so")
    devices = [str(values.get("device") or "$") for values in knobs]
    asked = dict.fromkeys("" if is_expression(device) else device for device in devices)
    found = {device: _measured(device, environment) for device in asked}
    if away := [device for device, values in found.items() if not values["there"]]:
        return Precision(None, None, f"there is no {away[0]} here to measure; {amp.VARIABLE} says it for all of them")
    # alike on all devices: in bf16 where it pays on each
    slowest = min(found.values(), key=lambda values: values["bf16_speedup"] or 0.0)
    speedup = slowest["bf16_speedup"]
    by = "it has no bf16" if speedup is None else f"measured to be {speedup:g} times as fast in bf16"
    return Precision(slowest[AMP], speedup, by)


def _kept(path: Path) -> Precision:
    content = documents.own(path, after="; delete it to have it chosen anew")
    return Precision(content[AMP], content.get("bf16_speedup"), f"as chosen when this began ({content.get('by')})")


def _recorded(record: Path) -> bool | None:
    """What all recorded trainings computed in; None where they differ, which is not for this choice to mend."""
    found = {entry.values.get(AMP) for entry in read_records(record)}
    return found.pop() if len(found) == 1 else None


def _measured(device: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What a process of its own finds; without a device's name, for the one that bundles take."""
    done = subprocess.run(
        [*PYTHON, MODULE, *([device] if device else [])], env=dict(environment), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise InputError(f"amp: bf16 cannot be measured here ({why}); say it, true or false") from None
