"""Both programs see the patients that our split gives, and their masks are scored alike."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from baseline_cases import choose, mask_path, score_masks

from segxfer3d import InputError, find_cases
from segxfer3d.data.synthetic.phantoms import write_phantoms
from segxfer3d.evaluation.metrics import dice


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("data"), patients=20, seed=1)


@pytest.mark.slow
def test_the_cases_are_those_of_a_fine_tuning(twenty, tmp_path):
    from segxfer3d import run_bundle

    run_bundle(
        "genesis_finetune", dataset_dir=str(twenty), init="random", label_count=5, seed=3, split_seed=2, width=2,
        patch_size=[16, 16, 8], test_fraction=0.25, validation_fraction=0.05, max_epochs=1, steps_per_epoch=1,
        output_dir=str(tmp_path / "run"), progress=False, overlap=0.0,
    )  # fmt: skip
    import csv
    import json

    chosen = choose(twenty, label_count=5, seed=3, split_seed=2)
    assert [case.name for case in chosen.labeled] == json.loads((tmp_path / "run/labels.json").read_text())["cases"]
    with (tmp_path / "run/cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [case.name for case in chosen.measured] == [row["case"] for row in rows]
    more = choose(twenty, label_count=5, seed=3, split_seed=2, part="validation")  # a fifth, for choices
    split = json.loads((tmp_path / "run/split.json").read_text())
    assert {case.patient for case in more.measured} > set(split["validation"])
    assert not {case.patient for case in (*more.measured, *more.labeled)} & set(split["test"])
    assert [case.name for case in choose(twenty, label_count=5, seed=3, split_seed=2, first=2).measured] == [
        row["case"] for row in rows[:2]
    ]


def test_masks_are_scored_on_the_grid_of_their_labels(twenty, tmp_path):
    case_set = find_cases(twenty)
    right, shifted = case_set.labeled[:2]
    for case in (right, shifted):
        label = nib.load(case.label)
        values = np.asarray(label.dataobj)
        if case is shifted:
            values = np.roll(values, 1, axis=0)
        nib.save(nib.Nifti1Image(values, label.affine), mask_path(tmp_path, case))
    rows = score_masks(tmp_path, [right, shifted], case_set)
    assert [row["case"] for row in rows] == [right.name, shifted.name]
    assert rows[0]["dice"] == 1
    assert rows[1]["dice"] == dice(values > 0, np.asarray(label.dataobj) > 0) < 1
    assert rows[0]["label_mm3"] == rows[0]["prediction_mm3"] > 0


def test_a_mask_that_is_missing_or_elsewhere_is_refused(twenty, tmp_path):
    case_set = find_cases(twenty)
    case = case_set.labeled[0]
    with pytest.raises(InputError, match="no such mask"):
        score_masks(tmp_path, [case], case_set)
    label = nib.load(case.label)
    moved = label.affine + np.diag([0.5, 0, 0, 0])
    nib.save(nib.Nifti1Image(np.asarray(label.dataobj), moved), mask_path(tmp_path, case))
    with pytest.raises(InputError, match="on another grid"):
        score_masks(tmp_path, [case], case_set)


def test_an_unknown_part_is_refused(twenty):
    with pytest.raises(InputError, match="part: expected test or validation, got 'train'"):
        choose(twenty, label_count=5, seed=0, part="train")
