"""Public data sets and layouts, each to cases."""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.cases import CaseSet
from segxfer3d.data.datasets import decathlon, folder, luna16
from segxfer3d.errors import InputError


def find_cases(dataset_dir: str | Path, patient_pattern: str = "") -> CaseSet:
    """The cases of a folder in whatever layout it has: Decathlon, LUNA16, or a folder of volumes.

    Raises:
        InputError: the folder is missing, empty or holds nothing that can be used.
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: {'not a folder' if root.exists() else 'no such folder'}")
    if not any(root.iterdir()):
        raise InputError(f"dataset_dir {root}: the folder is empty")
    if (root / "dataset.json").is_file():
        return decathlon.read(root, patient_pattern)
    if luna16.folds(root):
        return luna16.read(root)
    return folder.read(root, patient_pattern)
