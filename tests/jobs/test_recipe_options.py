"""Options of a recipe that contradict each other are refused, and what trains is what inference expects."""

import json
import shutil
from dataclasses import replace

import pytest

from segxfer3d.jobs import planning
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.test_planned_sizes import PLAN, SHORT
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, refused

pytestmark = MARKS


@pytest.mark.parametrize(("axes", "trained"), [("auto", [1, 2]), ("x", [0])])
def test_flips_turn_patches_around_along_the_axes_that_inference_mirrors(axes, trained, good, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(replace(PLAN, mirror_axes=(1, 2)).as_dict()), encoding="utf-8")
    knobs = {"dataset_dir": str(good), "init": "random", "plan": str(path), "batch_size": 2, **SHORT}
    workflow = run_bundle(
        BUNDLES / "genesis_finetune.json",
        output_dir=str(tmp_path / "run"), recipe="strong", augmentation="flips", mirror_axes=axes, **knobs,
    )  # fmt: skip
    assert list(workflow.parser.get_parsed_content("data").train.transform.mirror_axes) == trained
    assert checkpoint.read_model(tmp_path / "run" / "model.pt")["inference"]["mirror_axes"] == trained


def test_inference_mirrors_nothing_that_training_did_not(good, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "init": "random", "mirror": 0.0, "mirrored_inference": True}
    refused("genesis_finetune", tmp_path, "mirrored_inference True: with --mirror 0 training turns nothing", **knobs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"augmentation": "flips", "rotate_degrees": 5},
            "with augmentation flips nothing is rotated; .* --augmentation f",
        ),
        ({"rotate": 0.0, "rotate_degrees": 5}, "rotate_degrees: with rotate 0 nothing is rotated; .* --rotate above 0"),
        (
            {"mirror": 0.0, "mirror_axes": "x"},
            "mirror_axes: with mirror 0 nothing is turned around; expected auto, or ",
        ),
    ],
)
def test_what_changes_nothing_of_patches_is_refused_and_earlier_runs_go_on(
    changes, message, good, tmp_path, monkeypatch
):
    knobs = {**TINY, "dataset_dir": str(good), "init": "random", **changes, "max_epochs": 1}
    refused("genesis_finetune", tmp_path, message, **knobs)
    run = {"output_dir": str(tmp_path / "run"), **knobs}
    with monkeypatch.context() as patch:
        patch.setattr(planning, "refuse_unused_changes", lambda _: None)
        run_bundle(BUNDLES / "genesis_finetune.json", **run)
    run_bundle(BUNDLES / "genesis_finetune.json", **run, resume=True)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"init": "frozen-random", "decoder_warmup_epochs": 1},
            "epochs 1: with init frozen-random the encoder is frozen",
        ),
        (
            {"init": "random", "decoder_warmup_epochs": 2},
            "epochs 2: the training has 2 epochs, so that the encoder never",
        ),
    ],
)
def test_a_warm_up_of_the_decoder_that_does_nothing_or_never_ends_is_refused(knobs, message, good, tmp_path):
    refused("genesis_finetune", tmp_path, f"decoder_warmup_{message}", **TINY, dataset_dir=str(good), **knobs)


def test_minutes_beside_epochs_are_refused(good, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "init": "random", "minutes": 0.5}
    refused("genesis_finetune", tmp_path, "minutes and max_epochs: expected one of them, got 0.5 and 2", **knobs)


def test_a_range_test_beside_a_rate_is_refused(good, tmp_path):
    knobs = {**TINY, "dataset_dir": str(good), "init": "random", "lr": 0.01, "range_test": True}
    refused("genesis_finetune", tmp_path, "lr and range_test: expected one of them, got 0.01 and True", **knobs)


def test_a_class_that_no_labeled_case_shows_is_said_under_the_papers_recipe_too(good, tmp_path, caplog):
    root = tmp_path / "two"
    shutil.copytree(good, root)
    pairs = [{"image": f"imagesTr/{path.name}", "label": f"labelsTr/{path.name}"} for path in root.glob("labelsTr/*")]
    labels = {"0": "background", "1": "one", "7": "rare"}
    (root / "dataset.json").write_text(json.dumps({"labels": labels, "training": pairs}), encoding="utf-8")
    knobs = {**TINY, "dataset_dir": str(root), "init": "random"}
    refused("genesis_finetune", tmp_path, "labeled cases shows the class rare, ", **knobs, recipe="strong")
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "paper"), recipe="paper", **knobs)
    assert "labeled cases shows the class rare; it is not learned" in caplog.text
