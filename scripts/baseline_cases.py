"""Whose labels are used and who is measured, for both programs, and the scores of the masks that they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.split import by_patient
from segxfer3d.errors import InputError
from segxfer3d.evaluation.metrics import Row, case_row, voxel_volume

# of every trial of the baseline; the bundle is given the same
TEST_FRACTION = 0.25
# the share that validates, by who is measured: few where the test part is, so that the numbers are those of a plain
# run; many where a choice is made on them, because 13 patients tell no two learning rates apart
VALIDATION_FRACTIONS = {"test": 0.05, "validation": 0.2}
PARTS = tuple(VALIDATION_FRACTIONS)


@dataclass(frozen=True)
class Chosen:
    """The cases of one trial.

    Attributes:
        case_set: the data set.
        labeled: the cases that are trained on.
        measured: the cases that are predicted and scored.
    """

    case_set: CaseSet
    labeled: tuple[Case, ...]
    measured: tuple[Case, ...]


def choose(
    dataset_dir: str | Path, *, label_count: int, seed: int, split_seed: int = 0, part: str = "test", first: int = 0
) -> Chosen:
    """The cases that the bundle ``genesis_finetune`` trains on and measures at the same options.

    Args:
        dataset_dir: labeled volumes, in any layout.
        label_count: training patients whose labels are used.
        seed: of their draw.
        split_seed: of the split by patient.
        part: ``test`` or ``validation``: who is measured.
        first: measure the first of them by name only; 0: all.

    Raises:
        InputError: another part, or data that cannot be split so.
    """
    if part not in PARTS:
        raise InputError(f"part: expected {' or '.join(PARTS)}, got {part!r}")
    case_set = find_cases(dataset_dir)
    split = by_patient(
        case_set.labeled,
        validation_fraction=VALIDATION_FRACTIONS[part],
        test_fraction=TEST_FRACTION,
        split_seed=split_seed,
        label_count=label_count,
        seed=seed,
    )
    measured = split.test if part == "test" else split.validation
    return Chosen(case_set, split.labeled, measured[: first or None])


def mask_path(folder: Path, case: Case) -> Path:
    """Where the mask of a case lies, whichever program wrote it."""
    return folder / f"{case.name}.nii.gz"


def score_masks(folder: Path, cases: Sequence[Case], case_set: CaseSet) -> list[Row]:
    """Dice, IoU and volumes of masks against the labels, in the columns of ``cases.csv``.

    Args:
        folder: of the masks, see :func:`mask_path`.
        cases: labeled, of ``case_set``.
        case_set: says which classes there are.

    Returns:
        a row for each case, in the order of ``cases``.

    Raises:
        InputError: a mask that is not there or lies on another grid than its label.
    """
    rows = []
    for case in cases:
        path = mask_path(folder, case)
        if not path.is_file():
            raise InputError(f"{path}: no such mask")
        mask, label = nib.load(path), nib.load(str(case.label))
        if mask.shape != label.shape or not np.allclose(mask.affine, label.affine, atol=1e-3):
            raise InputError(f"{path}: on another grid than {case.label}")
        predicted, true = (_one_hot(np.asarray(file.dataobj), case_set) for file in (mask, label))
        voxel, names = voxel_volume(label.affine), list(case_set.classes.values())
        rows.append(case_row(case.name, case.patient, predicted, true, voxel, names))
    return rows


def _one_hot(values: np.ndarray, case_set: CaseSet) -> Tensor:
    """(K, X, Y, Z) float32 of 0 and 1."""
    whole = np.rint(values)
    return torch.from_numpy(np.stack([whole == value for value in case_set.classes]).astype(np.float32))
