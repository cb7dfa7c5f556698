"""What goes into a training, in short: its config, its knobs, its data, the code, and the trainings before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.study import options, plan_files
from segxfer3d.study.code import code_version, read_config
from segxfer3d.study.definition import Bundle


@cache
def folder_identity(folder: str) -> str:
    """:func:`segxfer3d.files.folder_identity`, looked up once: the trials of a study share their data."""
    return files.folder_identity(Path(folder))


@cache
def file_identity(path: str) -> str:
    """:func:`segxfer3d.files.file_identity`, looked up once."""
    return files.file_identity(Path(path))


def code_version_of(config_file: str) -> str:
    """The code version of a bundle, by its path; of one that is gone, of no module at all."""
    return code_version(read_config(config_file))


def parts(bundle: Bundle, knobs: Mapping[str, Any], before: Iterable[str]) -> dict[str, Any]:
    """What goes into a training; knobs that change nothing of what is computed are left out.

    Args:
        bundle: of the training.
        knobs: that are set.
        before: identities of the trainings that this one starts from.
    """
    known = options.table()
    read = {name: known[name].limits.path for name in knobs if name in known and known[name].changes_result}
    data = {name: folder_identity(str(knobs[name])) for name, path in read.items() if path == "folder" and knobs[name]}
    data |= {name: file_identity(str(knobs[name])) for name, path in read.items() if path == "file" and knobs[name]}
    plan = knobs.get(plan_files.PLAN)
    if planned := plan_files.names_file(plan):
        data[plan_files.PLAN] = plan_files.identity(Path(str(plan)))
    left_out = {name for name, option in known.items() if not option.changes_result or read.get(name)}
    return {
        "config": bundle.digest,
        "knobs": {
            name: value
            for name, value in sorted(knobs.items())
            if name not in left_out and not (planned and name == plan_files.PLAN)
        },
        "data": data,
        "code_version": bundle.code_version,
        "before": list(before),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes two trainings different ones, in words."""
    differences = []
    if before.get("code_version") != now["code_version"]:
        differences.append(f"code version {before.get('code_version')}, not {now['code_version']}")
    if before.get("config") != now["config"]:
        differences.append("another version of its bundle")
    differences += other_data(before.get("data") or {}, now["data"])
    old, new = before.get("knobs") or {}, now["knobs"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            differences.append(f"{name} {old.get(name)}, not {new.get(name)}")
    if before.get("before") != now["before"] and not differences:
        differences.append("another pretraining")
    return differences


def other_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How the files of two trainings differ, in words; a plan is one that is no data."""
    said = {plan_files.PLAN: "another plan", "split_file": "another split file"}
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    return sorted({said.get(name, "other data") for name in changed})
