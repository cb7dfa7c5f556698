"""The commands that made what a folder holds, as far as its files tell."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import shipped_folder, study_names
from segxfer3d.report.collect import Collection
from segxfer3d.study.documents import read_object
from segxfer3d.study.machine_paths import BUNDLES
from segxfer3d.study.records import is_record
from segxfer3d.study.trials import CROSS_PLAN, STUDY_FILE

_STUDIES = "studies"  # the folder of shipped studies, in that of the bundles


def run_command(collection: Collection, output: str) -> str:
    """The command that ran a study, with the parameters that are not its file's own defaults, or a cross-validation.

    Empty where no study file is known, as of a plain folder of runs.
    """
    said = str(collection.study.get("study_file") or "")
    if not said:
        return ""
    path = Path(said)
    if _is_cross(collection.study, path):
        return _cross_command(collection.study, output)
    # a study that comes with the package is found where the bundles are; of any other, its folder is nobody's matter
    shipped = _is_shipped(path, collection.study, recorded=is_record(collection.folder))
    file = f"{BUNDLES}/{_STUDIES}/{path.name}" if shipped else path.name
    usual = _usual(path.stem) if shipped else {}
    set_by = "".join(
        f" --set {name}={_as_typed(value)}"
        for name, value in collection.study.get("parameters", {}).items()
        if name not in usual or value != usual[name]
    )
    return f"segxfer3d study run {file} --output {output}{set_by}"


def _is_shipped(file: Path, study: Mapping[str, Any], *, recorded: bool) -> bool:
    """Whether a study file is one of this package, of this checkout or of the one that it was run in.

    A record has names for folders; one of earlier versions, none where the study was.
    """
    if file.name not in {f"{name}.json" for name in study_names()}:
        return False
    said = study.get(BUNDLES)
    if recorded:
        return file.parent == Path(BUNDLES, _STUDIES) or (said is None and file.parent == Path())
    # studies of earlier versions do not say where the bundles were; a shipped one takes those of its package
    homes = {shipped_folder() / _STUDIES, (_bundle(study).parent if said is None else Path(str(said))) / _STUDIES}
    return bool(homes & {file.parent, file.parent.resolve()})


def _usual(name: str) -> dict[str, Any]:
    """The parameters of a study of this package that need not be set, with what they are then."""
    file = shipped_folder() / _STUDIES / f"{name}.json"
    declared = read_object(file, "study").get("parameters", {}) if file.is_file() else {}
    return {name: said["default"] for name, said in declared.items() if isinstance(said, dict) and "default" in said}


def _as_typed(value: Any) -> str:
    """A parameter as a command has it; of folders and files the name alone."""
    if not isinstance(value, str):
        return json.dumps(value)
    return Path(value).name if os.sep in value else value


def _is_cross(study: Mapping[str, Any], file: Path) -> bool:
    """Whether ``segxfer3d cross`` made it: a study of one arm whose file is what it writes itself."""
    return file.name == STUDY_FILE and bool(study.get("folds")) and study.get("name") == f"cross-{_bundle(study).stem}"


def _bundle(study: Mapping[str, Any]) -> Path:
    stage = study.get("finetune")
    return Path(str(stage.get("config", "") if isinstance(stage, dict) else ""))


def _cross_command(study: Mapping[str, Any], output: str) -> str:
    """The command with the knobs that were typed; of folders and files the name alone."""
    bundle = _bundle(study)
    shipped = str(bundle.parent) in (str(shipped_folder()), study.get(BUNDLES))
    arm = next((arm for arm in (study.get("arms") or {}).values() if isinstance(arm, dict)), {})
    checkpoint, init, seed = arm.get("checkpoint"), arm.get("init"), (study.get("seeds") or [0])[0]
    budget = next((budget for budget in study.get("budgets") or () if isinstance(budget, dict)), {})
    plan = str(Path(str(study["study_file"])).parent / CROSS_PLAN)  # it makes this one itself
    knobs = {
        "folds": study["folds"],
        **{name: value for name, value in (study.get("common") or {}).items() if (name, value) != ("plan", plan)},
        **({"checkpoint": checkpoint} if checkpoint else {}),
        **({"init": init} if init != ("encoder" if checkpoint else "random") else {}),
        **{name: value for name, value in (budget.get("knobs") or {}).items() if value is not None},
        **({"seed": seed} if seed else {}),
    }
    typed = "".join(f" --{name} {shlex.quote(_of_python(value))}" for name, value in knobs.items())
    return f"segxfer3d cross {bundle.stem if shipped else bundle.name} --output_dir {output}{typed}"


def _of_python(value: Any) -> str:
    """A knob as ``segxfer3d cross`` reads it: texts as they are, other values as Python writes them."""
    if isinstance(value, str):
        return _as_typed(value)
    return "$None" if value is None else repr(value)
