"""The layout of the Medical Segmentation Decathlon: a ``dataset.json`` that lists images and labels.

Entries of "training" are ``{"image": path, "label": path}``; beside the official keys an entry may have "patient" and
"fold". Entries of "test" have no labels. Paths are relative to the folder. Source: http://medicaldecathlon.com.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segxfer3d.data.case import Case, CaseSet, patient_of
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.errors import InputError, some

_MODALITIES = {"CT": ("CT",), "MR": ("MR", "T1", "T2", "FLAIR", "PD", "ADC", "DWI")}


def fits(root: Path) -> bool:
    """Whether there is a ``dataset.json``."""
    return (root / "dataset.json").is_file()


def read(root: Path, patient_pattern: str = "") -> CaseSet:
    """The training cases (labeled) and the test cases (unlabeled) of ``root/dataset.json``.

    Raises:
        InputError: the file is damaged, or lists images without labels or files that are not there (all named, up to
            ten).
    """
    path = root / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        training = [(_entry(item), True) for item in content["training"]]
        test = [(_entry(item), False) for item in content.get("test", [])]
        classes = _classes(content.get("labels", {}))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: not a Decathlon dataset.json ({type(error).__name__}: {error})") from error
    cases, problems = [], []
    for entry, labeled in training + test:
        image = root / entry["image"]
        label = root / entry["label"] if labeled and entry.get("label") else None
        if not image.exists():
            problems.append(f"{image} (label without image)" if label and label.exists() else f"{image} (no such file)")
        if labeled and not (label and label.exists()):
            problems.append(f"{label or image} ({'no such file' if label else 'image without label'})")
        name = volume_name(image) or image.name
        patient = str(entry.get("patient", "")) or patient_of(name, patient_pattern)
        cases.append(Case(name, image, label, patient, fold=entry.get("fold")))
    if problems:
        raise InputError(f"{path}: lists what is not there: {some(problems)}")
    modality = _modality(content.get("modality", {}))
    return CaseSet(root, "decathlon", 3, tuple(cases), classes, modality=modality)


def _entry(item: Any) -> dict[str, Any]:
    entry = {"image": item} if isinstance(item, str) else dict(item)
    if not isinstance(entry["image"], str):
        raise TypeError(f"an image should be a path, not {entry['image']}")
    return entry


def _classes(labels: dict[str, Any]) -> dict[int, str]:
    """Foreground classes; the original form is {"1": "name"}, nnU-Net's is {"name": 1}."""
    if labels and all(isinstance(value, int) for value in labels.values()):
        classes = {value: str(name) for name, value in labels.items()}
    else:
        classes = {int(value): str(name) for value, name in labels.items()}
    return {value: classes[value] for value in sorted(classes) if value != 0} or {1: "foreground"}


def _modality(given: Any) -> str:
    """What the entry "modality" says, which names every channel."""
    names = [str(name).upper() for name in (given.values() if isinstance(given, dict) else [given])]
    for modality, prefixes in _MODALITIES.items():
        if names and all(name.startswith(prefixes) for name in names):
            return modality
    return "unknown"
