"""What goes into a training, in short: its config, its knobs, its data, the code, and the trainings before it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import segxfer3d
from segxfer3d.config.knobs import FREE
from segxfer3d.errors import InputError

DIGITS = 16
_FOLDERS = ("dataset_dir", "extra_dataset_dir")
_NOT_TRAINING = ("cli.py", "study", "report")  # no part of what a training computes


def digest(content: Any) -> str:
    """A short fingerprint of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


@cache
def code_version() -> str:
    """The package's version and a fingerprint of its files, but for those that have no part in a training."""
    root = Path(segxfer3d.__file__).parent
    sums = {}
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if place.parts[0] not in _NOT_TRAINING:
            sums[place.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{segxfer3d.__version__}+{digest(sums)[:8]}"


@cache
def folder_identity(folder: str) -> str:
    """A fingerprint of the names and sizes of all files below a folder, hidden ones left out; not of where it lies.

    Files are not opened: one that is replaced by another of the same size goes unnoticed.

    Raises:
        InputError: the folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"dataset_dir {folder}: {error}") from error

    entries = []
    for place, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file():
                entries.append((path.relative_to(folder).as_posix(), path.stat().st_size))
    return digest(entries)


@cache
def file_identity(path: str) -> str:
    """A fingerprint of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        total = hashlib.sha256()
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
        return total.hexdigest()[:DIGITS]
    except OSError as error:
        raise InputError(f"checkpoint {path}: {error}") from error


def parts(config: Mapping[str, Any], knobs: Mapping[str, Any], before: Iterable[str]) -> dict[str, Any]:
    """What goes into a training; knobs that change nothing of what is computed are left out.

    Args:
        config: the bundle's, whole.
        knobs: that are set.
        before: identities of the trainings that this one starts from.
    """
    data = {name: folder_identity(str(knobs[name])) for name in _FOLDERS if knobs.get(name)}
    if knobs.get("checkpoint"):
        data["checkpoint"] = file_identity(str(knobs["checkpoint"]))
    left_out = {*FREE, *_FOLDERS, "checkpoint"}
    return {
        "config": digest({key: value for key, value in config.items() if key != "description"}),
        "knobs": {name: value for name, value in sorted(knobs.items()) if name not in left_out},
        "data": data,
        "code_version": code_version(),
        "before": list(before),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What makes two trainings different ones, in words."""
    found = []
    if before.get("code_version") != now["code_version"]:
        found.append(f"code version {before.get('code_version')}, not {now['code_version']}")
    if before.get("config") != now["config"]:
        found.append("another version of its bundle")
    if before.get("data") != now["data"]:
        found.append("other data")
    old, new = before.get("knobs") or {}, now["knobs"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            found.append(f"{name} {old.get(name)}, not {new.get(name)}")
    if before.get("before") != now["before"] and not found:
        found.append("another pretraining")
    return found
