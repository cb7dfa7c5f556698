"""``dataset.json``: the classes that it names, in the form of the Medical Segmentation Decathlon or of nnU-Net."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError

NAME = "dataset.json"
IGNORED = "ignore"  # what nnU-Net calls voxels and pixels that neither train nor count
BAD = (ValueError, TypeError, AttributeError, KeyError)


def classes_of(labels: Mapping[str, Any]) -> dict[int, str]:
    """Value to name of the foreground classes, in rising order; Decathlon has {"1": "name"}, nnU-Net {"name": 1}."""
    if labels and all(isinstance(value, int) for value in labels.values()):
        names = {value: str(name) for name, value in labels.items()}
    else:
        names = {int(value): str(name) for value, name in labels.items()}
    return {value: names[value] for value in sorted(names) if value != 0} or {1: "foreground"}


def classes_of_volumes(labels: Mapping[str, Any]) -> dict[int, str]:
    """The same without nnU-Net's "ignore", which is no class; volumes whose labels have it are refused by the check.

    Raises:
        ValueError: regions, which are lists of values.
    """
    if any(isinstance(value, list) for value in labels.values()):
        raise ValueError("classes that are regions (lists of values); expected one value a class")
    return {value: name for value, name in classes_of(labels).items() if name != IGNORED}


def read_classes(root: Path) -> dict[int, str]:
    """The classes that a ``dataset.json`` in the folder names; none where there is no such file.

    Raises:
        InputError: the file is damaged, or has no entry "labels" of names and values.
    """
    path = root / NAME
    if not path.is_file():
        return {}
    try:
        return classes_of(json.loads(path.read_text(encoding="utf-8"))["labels"])
    except BAD as error:
        raise InputError(
            f'{path}: no classes in it ({type(error).__name__}: {error}); expected "labels", as in '
            '{"labels": {"background": 0, "disc": 1, "cup": 2}}'
        ) from error
