"""Data of volumes that a user may get wrong: refused before any work, the culprit named, nothing left behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segxfer3d.run.bundle import run_bundle
from tests.data.volumes import ct, write_dicom, write_itk, write_nifti
from tests.jobs.volume_sets import (
    AFFINE,
    BUNDLES,
    MARKS,
    SHAPE,
    TINY,
    cut,
    image,
    label,
    labels,
    refused,
    write_dataset,
)

pytestmark = MARKS


# How a good data set is broken, and what the message has to hold
def replace_by_dicom(root, **how):
    image(root).unlink()
    write_dicom(root / "imagesTr" / "p1", ct(SHAPE), AFFINE, **how)


def two_series(root):
    replace_by_dicom(root, series="1.2.3")
    write_dicom(root / "imagesTr" / "p1", ct((20, 18, 6)), AFFINE, series="1.2.4")


def with_value(array, value):
    array[2, 2, 2] = value
    return array


def without_raw(root):
    image(root).unlink()
    write_itk(root / "imagesTr" / "p1.mhd", ct(SHAPE), AFFINE).with_suffix(".raw").unlink()


def empty(root):
    for folder in ("imagesTr", "labelsTr"):
        shutil.rmtree(root / folder)


def fewer(root):
    for name in ("p2", "p3", "p4"):
        image(root, name).unlink()
        labels(root, name).unlink()


BROKEN_IMAGES = {
    "folder missing": (shutil.rmtree, r"dataset_dir .*set: no such folder"),
    "folder empty": (empty, r"dataset_dir .*set: no volumes in it"),
    "nan": (lambda r: write_nifti(image(r), with_value(ct(SHAPE).astype("f4"), np.nan)), r"p1\.nii\.gz: NaN or inf"),
    "infinite": (lambda r: write_nifti(image(r), with_value(ct(SHAPE).astype("f4"), np.inf)), r"p1\.nii\.gz: NaN or"),
    "truncated": (lambda r: cut(image(r)), r"p1\.nii\.gz: cannot be read, damaged or truncated"),
    "mhd without raw": (without_raw, r"p1\.mhd: its data file p1\.raw is missing"),
    "2D among volumes": (lambda r: write_nifti(image(r), ct((20, 18))), r"p1\.nii\.gz: expected a 3D volume.*20x18"),
    "two series": (two_series, r"imagesTr/p1: 2 DICOM series in one folder: 1\.2\.3 \(CT, 12 slices\), .*--series"),
    "slice missing": (lambda r: replace_by_dicom(r, without=[5]), r"imagesTr/p1: a DICOM slice is missing"),
}
BROKEN_LABELS = {
    "image without label": (lambda r: labels(r).unlink(), r"imagesTr/p1\.nii\.gz \(image without label\)"),
    "label without image": (lambda r: image(r).unlink(), r"labelsTr/p1\.nii\.gz \(label without image\)"),
    "other shape": (lambda r: write_nifti(labels(r), label((20, 18, 11)), AFFINE), r"labelsTr/p1.*20x18x11 is not"),
    "other affine": (lambda r: write_nifti(labels(r), label(), 2 * AFFINE), r"labelsTr/p1.*affine is not its image's"),
    "undeclared value": (lambda r: write_nifti(labels(r), 3 * label(), AFFINE), r"labelsTr/p1.*values 3; expected 0"),
    "label nan": (
        lambda r: write_nifti(labels(r), with_value(label().astype("f4"), np.nan), AFFINE), r"labelsTr/p1.*NaN",
    ),
    "no labels at all": (lambda r: shutil.rmtree(r / "labelsTr"), r"set: no labels found.*needs image/label pairs"),
    "too few patients": (fewer, r"2 patients are fewer than the split needs: at least 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*BROKEN_IMAGES, *BROKEN_LABELS])
def test_finetuning_refuses_data(case, good, tmp_path):
    break_it, message = {**BROKEN_IMAGES, **BROKEN_LABELS}[case]
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it(root)
    refused("genesis_finetune", tmp_path, message, dataset_dir=str(root), init="random", **TINY)


@pytest.mark.parametrize("case", [case for case in BROKEN_IMAGES if case != "infinite"])
def test_pretraining_refuses_volumes(case, good, tmp_path):
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it, message = BROKEN_IMAGES[case]
    if case != "folder missing" and case != "folder empty":
        shutil.rmtree(root / "labelsTr")
    break_it(root)
    refused("genesis_pretrain", tmp_path, message, dataset_dir=str(root), **TINY)


@pytest.mark.parametrize("case", ["folder missing", "truncated", "other shape", "no labels at all"])
def test_evaluation_refuses_data(case, good, models, tmp_path):
    break_it, message = {**BROKEN_IMAGES, **BROKEN_LABELS}[case]
    root = Path(shutil.copytree(good, tmp_path / "set"))
    break_it(root)
    knobs = {"dataset_dir": str(root), "checkpoint": models["finetuned"], "progress": False, "device": "cpu"}
    refused("evaluate", tmp_path, message, **knobs)


def test_every_bad_case_is_listed_and_can_be_left_out(good, tmp_path, caplog):
    root = Path(shutil.copytree(good, tmp_path / "set"))
    cut(image(root, "p0"))
    write_nifti(labels(root, "p1"), 7 * label(), AFFINE)
    knobs = {**TINY, "dataset_dir": str(root), "init": "random", "validation_fraction": 0}
    refused("genesis_finetune", tmp_path, r"2 of 5 cases .*--skip_bad_cases True(.|\n)*p0(.|\n)*p1.*values 7", **knobs)
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), skip_bad_cases=True, **knobs)
    assert sorted(json.loads((tmp_path / "run" / "data_check.json").read_text(encoding="utf-8"))["bad"]) == ["p0", "p1"]


def test_empty_labels_and_small_volumes_are_fine_and_said(tmp_path, caplog):
    root = write_dataset(tmp_path / "set")
    for i in (0, 2, 3, 4):
        small = (12, 10, 6) if i % 2 else SHAPE
        write_nifti(image(root, f"p{i}"), ct(small, i), AFFINE)
        write_nifti(labels(root, f"p{i}"), label(small) * (i > 0), AFFINE)
    write_nifti(labels(root, "p4"), 0 * label(), AFFINE)
    knobs = {"dataset_dir": str(root), "progress": False, "device": "cpu"}
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(tmp_path / "p"), **{**TINY, **knobs})
        run_bundle(
            BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "f"), checkpoint=str(tmp_path / "p/model.pt"),
            **{**TINY, **knobs},
        )  # fmt: skip
        run_bundle(
            BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), checkpoint=str(tmp_path / "f/model.pt"),
            part="all", **knobs,
        )  # fmt: skip
    assert "2 labels are empty: p0, p4" in caplog.text
    assert "1 of 5 volumes are smaller than the patch [16, 16, 8]: padded" in caplog.text
    check = json.loads((tmp_path / "f" / "data_check.json").read_text(encoding="utf-8"))
    assert check["empty_labels"] == ["p0", "p4"]
    summary = json.loads((tmp_path / "e" / "cases_summary.json").read_text(encoding="utf-8"))
    assert (summary["cases"], summary["empty_labels"]) == (5, 2)


def test_masks_that_no_name_gives_away_are_not_trained_on(tmp_path):
    for name in "abcd":
        write_nifti(tmp_path / "set" / f"{name}.nii", ct(SHAPE), AFFINE)
        write_nifti(tmp_path / "set" / f"{name}_lesion.nii", label(), AFFINE)
    knobs = {**TINY, "dataset_dir": str(tmp_path / "set")}
    refused("genesis_pretrain", tmp_path, r"4 of 8 volumes hold 10 different values at most, as masks do", **knobs)


def test_an_mr_without_a_word_of_it_is_not_taken_for_ct(tmp_path):
    for name in "abcd":
        write_nifti(tmp_path / "set" / f"{name}.nii", ct(SHAPE).astype(np.float32) / 400, AFFINE)  # z-scores
    knobs = {**TINY, "dataset_dir": str(tmp_path / "set")}
    refused("genesis_pretrain", tmp_path, r"no CT in HU: 4 of 4 volumes .*--modality MR", **knobs)
