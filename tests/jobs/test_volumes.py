"""The bundles, run in this process on small phantoms: what they leave, what they refuse, how they resume."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scipy import ndimage

from segxfer3d.errors import InputError
from segxfer3d.evaluation.lesions import lesion_summary
from segxfer3d.evaluation.previews import in_window, read_previews
from segxfer3d.evaluation.slices import to_ras
from segxfer3d.evaluation.summary import format_table
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint

BUNDLES = Path(__file__).parents[2] / "bundles"
TINY = {
    "width": 2, "patch_size": [32, 32, 16], "max_epochs": 2, "steps_per_epoch": 2, "batch_size": 2, "progress": False,
    "device": "cpu",
}  # fmt: skip

WINDOWS = {"overlap": 0.0}  # half as many as by default

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def run(name, folder, **overrides):
    return run_bundle(BUNDLES / f"{name}.json", output_dir=str(folder), **{**TINY, **overrides})


@pytest.fixture(scope="module")
def pretrained(phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pretrain"
    run("genesis_pretrain", folder, dataset_dir=str(phantoms))
    return folder


@pytest.fixture(scope="module")
def finetuned(phantoms, pretrained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finetune"
    run(
        "genesis_finetune", folder, dataset_dir=str(phantoms), checkpoint=str(pretrained / "model.pt"), label_count=2,
        mirrored_inference=False, **WINDOWS,  # an eighth of the passes
    )  # fmt: skip
    return folder


def test_pretraining_leaves_a_model_with_provenance(pretrained):
    model = checkpoint.read_model(pretrained / "model.pt")
    assert model["classes"] == {}
    assert model["provenance"]["job"] == "genesis_pretrain"
    split = json.loads((pretrained / "split.json").read_text(encoding="utf-8"))
    assert not set(model["provenance"]["patients"]) & set(split["test"])
    lines = [json.loads(line) for line in (pretrained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(np.isfinite(line["validation_loss"]) for line in lines)
    assert (pretrained / "done.json").is_file()


def test_finetuning_leaves_a_row_for_every_test_case(finetuned, pretrained):
    split = json.loads((finetuned / "split.json").read_text(encoding="utf-8"))
    with (finetuned / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["patient"] for row in rows} == set(split["test"])
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)
    report = json.loads((finetuned / "transfer.json").read_text(encoding="utf-8"))
    assert all(name.startswith("encoder.") for name in report["loaded"])
    planned = json.loads((finetuned / "plan.json").read_text(encoding="utf-8"))
    assert checkpoint.read_model(finetuned / "model.pt")["provenance"]["plan"] == planned
    assert any(name.startswith("decoder.") for name in report["left"])
    labels = json.loads((finetuned / "labels.json").read_text(encoding="utf-8"))
    assert len(labels["patients"]) == 2
    assert set(labels["patients"]) <= set(split["train"])


def test_finetuning_keeps_pictures_of_the_cases_that_it_measured(finetuned, phantoms):
    rows = {
        row["case"]: row for row in csv.DictReader((finetuned / "cases.csv").read_text(encoding="utf-8").splitlines())
    }
    found = read_previews(finetuned)
    assert {role for kept in found for role in kept.roles} == {"best", "median", "worst", "shared"}
    for kept in found:
        assert kept.dice == float(rows[kept.case]["dice"])
        file = nibabel.load(next(phantoms.glob(f"labelsTr/{kept.case}*")))
        label, spacing = to_ras(np.asarray(file.dataobj), file.affine)
        assert kept.spacing == pytest.approx(spacing)
        if kept.roles == ("shared",):
            assert kept.label.shape[2] == 1
            continue
        assert label.shape == kept.label.shape  # smaller than what is kept
        np.testing.assert_array_equal(kept.label > 0, label > 0)
        assert kept.prediction.sum() * np.prod(spacing) == pytest.approx(float(rows[kept.case]["prediction_mm3"]))
        image, _ = to_ras(np.asarray(nibabel.load(next(phantoms.glob(f"imagesTr/{kept.case}*"))).dataobj), file.affine)
        np.testing.assert_allclose(
            kept.image[0], in_window((image.clip(-1000, 1000) + 1000) / 2000, (-1000, 1000)), atol=1
        )


def test_evaluation_repeats_the_figures_of_finetuning(finetuned, phantoms, tmp_path):
    knobs = {"progress": False, "device": "cpu", "dataset_dir": str(phantoms), **WINDOWS}
    knobs |= {"output_dir": str(tmp_path / "e"), "checkpoint": str(finetuned / "model.pt")}
    run_bundle(BUNDLES / "evaluate.json", **knobs)
    again = json.loads((tmp_path / "e" / "cases_summary.json").read_text(encoding="utf-8"))
    before = json.loads((finetuned / "cases_summary.json").read_text(encoding="utf-8"))
    assert again["dice"] == pytest.approx(before["dice"], abs=1e-6)
    assert again["genesis_iou"] == pytest.approx(before["genesis_iou"], abs=1e-6)


def test_evaluation_counts_lesions_where_asked(finetuned, phantoms, tmp_path):
    knobs = {"dataset_dir": str(phantoms), "checkpoint": str(finetuned / "model.pt"), "progress": False, **WINDOWS}
    overrides = {**knobs, "lesions": True, "lesion_tolerance": 3.0, "output_dir": str(tmp_path / "run")}
    run_bundle(BUNDLES / "evaluate.json", device="cpu", **overrides)
    summary = json.loads((tmp_path / "run" / "cases_summary.json").read_text(encoding="utf-8"))
    with (tmp_path / "run" / "cases.csv").open() as file:
        cases = [row["case"] for row in csv.DictReader(file)]
    expected = {}
    for case in cases:
        label = nibabel.load(phantoms / "labelsTr" / f"{case}.nii.gz").get_fdata() > 0
        expected[case] = ndimage.label(label, np.ones((3, 3, 3)))[1]
    with (tmp_path / "run" / "lesion_cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["case"]: int(row["lesions"]) for row in rows} == expected
    assert {row["class"] for row in rows} == {"nodule"}
    with (tmp_path / "run" / "lesions.csv").open() as file:
        lesions = list(csv.DictReader(file))
    assert len(lesions) == sum(expected.values()) == summary["lesions"]
    assert all({"dice", "surface_dice", "label_mm3", "volume_error_percent"} <= row.keys() for row in lesions)
    assert summary["lesion_sensitivity"] == sum(int(row["found"]) for row in rows) / len(lesions)
    false = sum(int(row["false_positives"]) for row in rows)
    assert summary["false_positives_per_scan"] == false / len(cases)
    text = format_table("test", summary)
    assert f"{len(lesions)} lesions, {false} false positives" in text
    assert "lesions" not in json.loads((finetuned / "cases_summary.json").read_text(encoding="utf-8"))


def test_lesions_of_several_classes_are_of_one_scan():
    rows = [{"case": "a", "class": c, "lesions": 1, "found": f, "false_positives": 1} for c, f in (("x", 1), ("y", 0))]
    of_lesions = {"case": "a", "dice": 0.5, "surface_dice": 0.5, "volume_error_percent": -50.0}
    summary = lesion_summary(rows, [{**of_lesions, "found": 1}, {**of_lesions, "found": 0}])
    assert (summary["lesions"], summary["lesion_sensitivity"], summary["false_positives_per_scan"]) == (2, 0.5, 2.0)
    nothing = lesion_summary([{"case": "a", "lesions": 0, "found": 0, "false_positives": 0}], [])
    assert (nothing["lesion_sensitivity"], nothing["lesion_f1"], nothing["false_positives_per_scan"]) == (None, None, 0)


def test_masks_come_back_in_the_inputs_geometry(finetuned, phantoms, tmp_path):
    source = nibabel.load(next((phantoms / "imagesTr").iterdir()))
    affine = np.array([[0, 0, -5.0, 7], [-5.0, 0, 0, 3], [0, 5.0, 0, 1], [0, 0, 0, 1]])  # permuted and flipped axes
    nibabel.save(nibabel.Nifti1Image(np.asarray(source.dataobj), affine), tmp_path / "odd.nii.gz")
    run_bundle(
        BUNDLES / "infer.json", checkpoint=str(finetuned / "model.pt"), input=str(tmp_path / "odd.nii.gz"),
        output_dir=str(tmp_path / "o"), probabilities=True, progress=False, device="cpu",
    )  # fmt: skip
    mask = nibabel.load(tmp_path / "o" / "odd_mask.nii.gz")
    assert mask.shape == source.shape
    assert np.allclose(mask.affine, affine)
    probability = nibabel.load(tmp_path / "o" / "odd_nodule_probability.nii.gz").get_fdata()
    assert np.array_equal(probability >= 0.5, mask.get_fdata() == 1)
    with (tmp_path / "o" / "components.csv").open() as file:
        assert sum(int(row["voxels"]) for row in csv.DictReader(file)) == (mask.get_fdata() > 0).sum()


@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_standard_ids_are_all_there(name, phantoms, tmp_path):
    knobs = {**TINY, "dataset_dir": str(phantoms), "output_dir": str(tmp_path / "run")}
    if name == "genesis_finetune":
        knobs["init"] = "random"
    workflow = ConfigWorkflow(str(BUNDLES / f"{name}.json"), workflow_type="train", logging_file=False, **knobs)
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.finalize()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({}, "checkpoint: init encoder needs one"),
        ({"checkpoint": "nowhere.pt"}, "no such file"),
        ({"init": "frozen"}, "init: expected one of"),
        ({"init": "random", "label_count": 99}, "label_count"),
        ({"init": "random", "test_fraction": 0.9}, "fraction"),
        ({"init": "random", "dataset_dir": "nowhere"}, "no such folder"),
        ({"init": "random", "checkpont": "x"}, "did you mean --checkpoint"),
        ({"init": "random", "output_dir": "/proc/nothing/run"}, "cannot be written"),
        ({"init": "random", "device": "tpu"}, "device: expected cpu"),
    ],
)
def test_refusals_leave_nothing(phantoms, tmp_path, overrides, message):
    folder = tmp_path / "run"
    knobs = {"output_dir": str(folder), "dataset_dir": str(phantoms), **TINY, **overrides}
    with pytest.raises(InputError, match=message):
        run_bundle(BUNDLES / "genesis_finetune.json", **knobs)
    assert not folder.exists()


def test_a_checkpoint_of_another_width_is_refused(phantoms, pretrained, tmp_path):
    with pytest.raises(InputError, match="width 2, this one 3; --width 2"):
        run(
            "genesis_finetune", tmp_path / "run", dataset_dir=str(phantoms), width=3,
            checkpoint=str(pretrained / "model.pt"),
        )  # fmt: skip
    with pytest.raises(InputError, match="fine-tune it first"):
        run_bundle(
            BUNDLES / "evaluate.json", dataset_dir=str(phantoms), checkpoint=str(pretrained / "model.pt"),
            output_dir=str(tmp_path / "e"), progress=False,
        )  # fmt: skip


def test_a_run_is_never_overwritten(finetuned, phantoms):
    with pytest.raises(InputError, match="holds a run already"):
        run("genesis_finetune", finetuned, dataset_dir=str(phantoms), init="random")


def weights(folder):
    return checkpoint.read_model(folder / "model.pt")["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_a_killed_run_resumes_bit_for_bit(name, phantoms, tmp_path):
    knobs = {**TINY, "dataset_dir": str(phantoms), "max_epochs": 12}
    if name == "genesis_finetune":
        knobs |= {"init": "random", "validation_interval": 5}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_bundle(BUNDLES / f"{name}.json", output_dir=str(whole), **knobs)
    words = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(BUNDLES / f"{name}.json")]
    words += [w for k, v in {**knobs, "output_dir": str(killed)}.items() for w in (f"--{k}", str(v))]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list((killed / "checkpoints").glob("epoch-*.pt")) and time.time() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (killed / "model.pt").exists(), "the run ended before it could be killed"
    subprocess.run([*words, "--resume", "True"], check=True, capture_output=True)
    expected, resumed = weights(whole), weights(killed)
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)
    epochs = [json.loads(line)["epoch"] for line in (killed / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert epochs == list(range(1, 13))
