"""What a run says of the layout, and what a job makes of labels: other values, and classes in another order."""

import json

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.data.volumes import ct, write_nifti
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
    message = r"dataset\.json: classes in another order than .*: foreground is 2, the model's is 1"
    with pytest.raises(InputError, match=message):
        run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), **knobs)
    assert not (tmp_path / "out").exists()
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "nodule": 1}}))
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "out"), **knobs)
    assert "classes have other names than the model's: 1 nodule (the model's: foreground)" in caplog.text
