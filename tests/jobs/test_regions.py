"""Regions train as classes that overlap, are measured as such, and are written into one label map."""

import csv
import json

import nibabel
import numpy as np
import pytest

from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, SHAPE, TINY, refused

pytestmark = MARKS

LABELS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def write_regions(root, patients=5, labels=LABELS, order=(1, 2, 3)):
    label = np.zeros(SHAPE, np.uint8)
    label[3:15, 3:15, 2:10], label[5:12, 5:12, 3:8], label[6:9, 6:9, 4:7] = 1, 2, 3
    for i in range(patients):
        image = ct(SHAPE, i) // 8 + label.astype(np.int16) * 400
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", image, AFFINE)
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label, AFFINE)
    content = {"labels": labels, "regions_class_order": list(order), "modality": {"0": "CT"}}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_regions(tmp_path_factory.mktemp("regions") / "set")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions") / "run"
    knobs = {**TINY, "max_epochs": 6, "steps_per_epoch": 8, "lr": 0.01, "init": "random", "dataset_dir": str(data)}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **knobs)
    return folder


def rows_of(folder):
    with (folder / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_training_measures_each_region(trained):
    model = checkpoint.read_model(trained / "model.pt")
    assert model["network"]["arguments"]["out_channels"] == 3
    assert model["inference"]["activation"] == "sigmoid"
    assert model["inference"]["regions"] == [[1, [1, 2, 3]], [2, [2, 3]], [3, [3]]]
    assert model["classes"] == {1: "whole", 2: "core", 3: "enhancing"}
    for row in rows_of(trained):
        assert {"dice_whole", "dice_core", "dice_enhancing"} <= row.keys()
        assert float(row["label_mm3"]) == 12 * 12 * 8 * 2  # of the whole, once


def test_evaluation_repeats_it_and_the_label_map_says_the_same(trained, data, tmp_path):
    knobs = {"checkpoint": str(trained / "model.pt"), "progress": False, "device": "cpu"}
    run_bundle(BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), dataset_dir=str(data), **knobs)
    rows = rows_of(trained)
    assert rows_of(tmp_path / "e") == rows
    name = rows[0]["case"]
    image = str(data / "imagesTr" / f"{name}.nii.gz")
    run_bundle(BUNDLES / "infer.json", output_dir=str(tmp_path / "i"), input=image, **knobs)
    mask = np.asarray(nibabel.load(tmp_path / "i" / f"{name}_mask.nii.gz").dataobj)
    truth = np.asarray(nibabel.load(data / "labelsTr" / f"{name}.nii.gz").dataobj)
    assert set(np.unique(mask)) <= {0, 1, 2, 3}
    for region, part in (("whole", (1, 2, 3)), ("core", (2, 3)), ("enhancing", (3,))):
        predicted, labeled = np.isin(mask, part), np.isin(truth, part)
        both, all_of = (predicted & labeled).sum(), predicted.sum() + labeled.sum()
        assert float(rows[0][f"dice_{region}"]) == pytest.approx(2 * both / all_of)
    assert float(rows[0]["prediction_mm3"]) == pytest.approx((mask > 0).sum() * 2)


def test_what_does_not_go_with_regions(data, trained, tmp_path):
    knobs = {**TINY, "init": "random", "dataset_dir": str(data)}
    refused("genesis_finetune", tmp_path, "the classes are regions, which overlap", activation="softmax", **knobs)
    refused("genesis_finetune", tmp_path, "the classes are regions", largest_component="always", **knobs)
    plain = write_regions(tmp_path / "plain", 5, {"background": 0, "whole": 1, "core": 2, "enhancing": 3})
    knobs = {"checkpoint": str(trained / "model.pt"), "progress": False, "device": "cpu", "dataset_dir": str(plain)}
    refused("evaluate", tmp_path, r"no regions, checkpoint .* was trained on regions \(1: \[1, 2, 3\]", **knobs)
    turned = write_regions(
        tmp_path / "turned", 5, {"background": 0, "whole": [1, 2, 3], "enhancing": [2, 3], "core": 3}
    )
    message = r"enhancing is 2, the model's is 3; core is 3, the model's is 2; expected the model's regions"
    refused("evaluate", tmp_path, message, **{**knobs, "dataset_dir": str(turned)})
