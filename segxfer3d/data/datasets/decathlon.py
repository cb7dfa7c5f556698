"""The layout of the Medical Segmentation Decathlon: a ``dataset.json`` that lists images and labels.

Beside the official keys an entry may have ``patient`` and ``fold``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segxfer3d.data.cases import Case, CaseSet, check_unique, patient_of
from segxfer3d.data.readers import stem
from segxfer3d.errors import InputError


def read(root: Path, patient_pattern: str = "") -> CaseSet:
    """The training cases (labeled) and the test cases (unlabeled) of ``root/dataset.json``.

    Raises:
        InputError: the file is damaged, or names files that are not there.
    """
    path = root / "dataset.json"
    try:
        content = json.loads(path.read_text())
        entries = [_entry(item) for item in content.get("training", [])]
        entries += [_entry(item) for item in content.get("test", [])]
        labels = {int(value): str(name) for value, name in content.get("labels", {"0": "background", "1": "foreground"}).items()}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: not a Decathlon dataset.json ({error})") from error
    cases = []
    missing = []
    for entry in entries:
        image = root / entry["image"]
        label = root / entry["label"] if entry.get("label") else None
        for kind, file in (("image", image), ("label", label)):
            if file is not None and not file.exists():
                other = "label without image" if kind == "image" and label is not None else f"{kind} not there"
                missing.append(f"{file} ({other if kind == 'image' else 'image without label'})")
        name = stem(image)
        patient = str(entry.get("patient") or patient_of(name, patient_pattern))
        cases.append(Case(name, image, label, patient, entry.get("fold")))
    if missing:
        raise InputError(f"{path} names files that are not there: {_some(missing)}")
    if not cases:
        raise InputError(f"{path}: lists no cases under 'training' or 'test'")
    check_unique(root, cases)
    classes = {value: name for value, name in sorted(labels.items()) if value != 0}
    modality = " ".join(str(m) for m in content.get("modality", {}).values()).upper()
    kind = "CT" if "CT" in modality else ("MR" if "MR" in modality else "unknown")
    return CaseSet(root, "decathlon", tuple(sorted(cases, key=lambda c: c.name)), classes, kind)


def _entry(item: Any) -> dict[str, Any]:
    return {"image": item} if isinstance(item, str) else dict(item)


def _some(items: list[str], most: int = 10) -> str:
    return "; ".join(items[:most]) + (f"; and {len(items) - most} more" if len(items) > most else "")
