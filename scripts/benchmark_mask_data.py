"""Phantom CTs as fine as those of a scanner, for the benchmark of a whole CT to a mask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from segxfer3d.data.synthetic import phantoms

SPACING = 0.5  # mm: 512 voxels are 256 mm, a body 220
TRAINED_ON = (448, 340, 160)  # voxels of the volumes that train: a body without the air around it

Affine = NDArray[np.float64]


@contextmanager
def _grid(shape: Sequence[int], spacing: float) -> Iterator[None]:
    """Phantoms on another grid than their own."""
    before = phantoms.SHAPE, phantoms.SPACING
    phantoms.SHAPE, phantoms.SPACING = tuple(shape), spacing  # type: ignore[assignment]
    try:
        yield
    finally:
        phantoms.SHAPE, phantoms.SPACING = before


def fine_phantom(shape: Sequence[int], seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A chest with lungs, vessels and nodules: HU, and the nodules' mask, both (X, Y, Z)."""
    rng = np.random.default_rng([SEED, seed])
    with _grid(shape, SPACING):
        return phantoms.Anatomy(rng).scan(rng)


SEED = 24


def write(path: Path, array: NDArray[np.generic], spacing: float = SPACING) -> Path:
    """As NIfTI, to the left, to the back and up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-spacing, -spacing, spacing, 1.0])), path)
    return path


def write_training(folder: Path, patients: int) -> Path:
    """A data set of phantoms that a network can train on in minutes; once."""
    if (folder / "dataset.json").is_file():
        return folder
    entries = []
    for patient in range(patients):
        image, label = fine_phantom(TRAINED_ON, 1 + patient)
        entry = {"patient": f"phantom{patient}"}
        for key, array in (("image", image), ("label", label)):
            entry[key] = f"./{key}sTr/phantom{patient}.nii.gz"
            write(folder / entry[key], array)
        entries.append(entry)
    content = {"name": "Fine phantoms", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "nodule"}}
    (folder / "dataset.json").write_text(json.dumps({**content, "training": entries}), encoding="utf-8")
    return folder
