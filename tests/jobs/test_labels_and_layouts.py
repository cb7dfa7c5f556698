"""What a run says of the layout, and what a job makes of labels: other values, and classes in another order."""

import json
import re

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.cli.test_cli import call
from tests.data.io.test_segments import write_segments
from tests.data.volumes import ct, write_itk, write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, SHAPE, TINY, label, refused

pytestmark = MARKS


def write_patients(root, value=255, patients=4):
    for i in range(patients):
        write_nifti(root / f"p{i}" / "image.nii.gz", ct(SHAPE, i), AFFINE)
        write_nifti(root / f"p{i}" / "label.nii.gz", label() * value, AFFINE)
    return root


def test_a_run_says_the_layout_first_and_reads_other_values(tmp_path, caplog):
    root = write_patients(tmp_path / "set")
    knobs = {**TINY, "max_epochs": 1, "dataset_dir": str(root), "init": "random"}
    refused("genesis_finetune", tmp_path, r"label values 255; expected 0, 1; --label_map 255:1", **knobs)
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), label_map="255:1", **knobs)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("segxfer3d")]
    assert said[0] == f"data: {root}: layout patients (patient folders), 4 volumes of 4 patients, 4 labeled"


def test_inference_beside_a_dataset_json_with_another_order_is_refused(models, tmp_path, caplog):
    folder = tmp_path / "new"
    write_nifti(folder / "a.nii.gz", np.asarray(ct(SHAPE)), AFFINE)
    knobs = {"input": str(folder), "checkpoint": models["finetuned"], "progress": False, "device": "cpu"}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "other": 1, "foreground": 2}}))
    message = r"dataset\.json: classes in another order than .*: foreground is 2, the model's is 1; masks would have"
    with pytest.raises(InputError, match=message):
        run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), **knobs)
    assert not (tmp_path / "out").exists()
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "nodule": 1}}))
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), **knobs)
    assert "classes have other names than the model's: 1 nodule (the model's: foreground)" in caplog.text


def overlapping(root):
    inside = label()
    for name in ("p0", "p1"):
        write_itk(root / name / "ct.nrrd", ct(SHAPE), AFFINE)
        layers = [inside, inside * (np.arange(SHAPE[0])[:, None, None] < SHAPE[0] // 2)]
        write_segments(root / name / "ct.seg.nrrd", layers, [("whole", 0, 1), ("core", 1, 1)], AFFINE)


def wholly_ignored(root):
    write_patients(root, 1)
    for name in ("p0", "p1"):
        write_nifti(root / name / "label.nii.gz", np.full(SHAPE, 2, np.uint8), AFFINE)
    (root / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "tumor": 1, "ignore": 2}}))


def without_classes(root):
    write_patients(root, 1)
    content = {"labels": {"background": 0, "whole": [1, 2], "core": []}, "regions_class_order": [1, 2]}
    (root / "dataset.json").write_text(json.dumps(content))


def half_named(root):
    write_patients(root, 1)
    for name in ("p0", "p1"):
        write_nifti(root / name / "mask.nii.gz", label(), AFFINE)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (overlapping, r"2 of 2 cases .*\n.*p0.ct\.seg\.nrrd: the segments whole and core overlap .*\n.*p1.ct\.seg"),
        (wholly_ignored, r"2 of 4 cases .*\n.*p0.label\.nii\.gz: nothing in it but the value 2, .*\n.*p1.label"),
        (without_classes, r"dataset\.json: .*the region core is of the labels \[\]; expected its classes"),
        (half_named, r"p0.label\.nii\.gz and .*p0.mask\.nii\.gz \(2 labels of one image\); .*p1.mask"),
    ],
)
@pytest.mark.parametrize("bundle", ["genesis_finetune", "genesis_pretrain"])
def test_bad_labels_are_refused_all_at_once_and_leave_nothing(tmp_path, bundle, write, message):
    write(tmp_path / "set")
    refused(bundle, tmp_path, message, dataset_dir=str(tmp_path / "set"), progress=False, device="cpu")
    status, said = call("check", tmp_path / "set")
    assert status == 1
    assert re.search(message.split(r"\n")[-1], said)
