"""Models in jobs: the mean of several, and what is said where data are far from what trained them."""

import csv
import json
import logging
import shutil

import numpy as np
import pytest
from monai.bundle import ConfigParser

from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import BUNDLES, MARKS, SHAPE, TINY, label, refused

pytestmark = MARKS
QUIET = {"device": "cpu", "progress": False, "overlap": 0.0}


@pytest.fixture
def said(caplog):
    """What runs said since it was last asked."""
    caplog.set_level(logging.INFO, "segxfer3d")

    def since():
        text = caplog.text
        caplog.clear()
        return text

    return since


def infer(folder, scans, **knobs):
    run_bundle(BUNDLES / "infer.json", output_dir=str(folder), input=str(scans), **QUIET, **knobs)


@pytest.fixture(scope="module")
def native(good, tmp_path_factory):
    """A model that takes volumes as they are."""
    folder = tmp_path_factory.mktemp("native") / "run"
    knobs = {**TINY, "max_epochs": 1, "recipe": "paper", "init": "random", "dataset_dir": str(good)}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **knobs)
    return str(folder / "model.pt")


@pytest.fixture(scope="module")
def several(native, tmp_path_factory):
    """A folder with the same model twice, whose mean is the model itself."""
    root = tmp_path_factory.mktemp("several")
    for name in ("a", "b"):
        (root / name).mkdir()
        shutil.copy(native, root / name / "model.pt")
    return root


def test_a_model_says_what_it_was_trained_on(native):
    seen = checkpoint.read_model(native)["provenance"]["seen"]
    assert seen["spacing"] == [[1.0, 1.0, 2.0]] * 3
    assert -1000 <= seen["values"][0] < -900
    assert 1400 < seen["values"][1] < 1500


def test_another_spacing_is_warned_about_or_resampled(native, tmp_path, said):
    coarse = write_nifti(tmp_path / "in" / "coarse.nii.gz", ct((9, 8, 7)), np.diag([3.0, 3.0, 3.0, 1.0])).parent
    write_nifti(tmp_path / "in" / "alike.nii.gz", ct((9, 8, 7)), np.diag([1.0, 1.0, 2.0, 1.0]))
    infer(tmp_path / "as_it_is", coarse, checkpoint=native)
    assert (
        "warning: 1 of 2 volumes have a spacing far from training's: coarse 3 x 3 x 3 mm, the model was trained on "
        "1 x 1 x 2 mm without resampling; --spacing_of training resamples to that"
    ) in said()
    infer(tmp_path / "resampled", coarse, checkpoint=native, spacing_of="training")
    assert "warning" not in said()


def test_values_far_from_those_of_training_are_warned_about(native, tmp_path, said):
    scan = np.linspace(-900, 9000, 9 * 8 * 7).reshape(9, 8, 7).astype(np.int16)
    write_nifti(tmp_path / "in" / "odd.nii.gz", scan, np.diag([1.0, 1.0, 2.0, 1.0]))
    infer(tmp_path / "out", tmp_path / "in", checkpoint=native)
    text = said()
    assert "warning: 1 of 1 volumes have values far outside training's range: odd" in text
    assert "are they in HU?" in text


def test_evaluation_hears_of_another_spacing_too(native, tmp_path, said):
    root = tmp_path / "set"
    for i in range(2):
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", ct(SHAPE, i), np.diag([1.0, 1.0, 6.0, 1.0]))
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label(), np.diag([1.0, 1.0, 6.0, 1.0]))
    run_bundle(
        BUNDLES / "evaluate.json", output_dir=str(tmp_path / "out"), dataset_dir=str(root), part="all",
        checkpoint=native, validation_fraction=0, test_fraction=0, **QUIET,
    )  # fmt: skip
    text = said()
    assert "2 of 2 volumes have a spacing far from training's: p0, p1 1 x 1 x 6 mm" in text
    assert "evaluate, all cases: 2 cases" in text


def test_several_models_are_measured_and_segment_as_one(native, several, good, tmp_path, said):
    knobs = {"dataset_dir": str(good), "split_seed": 0, **QUIET}
    run_bundle(BUNDLES / "evaluate.json", output_dir=str(tmp_path / "all"), model_dir=str(several), **knobs)
    run_bundle(BUNDLES / "evaluate.json", output_dir=str(tmp_path / "one"), checkpoint=native, **knobs)
    tables = []
    for name in ("all", "one"):
        with (tmp_path / name / "cases.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    assert [row["case"] for row in tables[0]] == [row["case"] for row in tables[1]]
    for mine, alone in zip(*tables, strict=True):
        assert float(mine["dice"]) == pytest.approx(float(alone["dice"]), abs=1e-3)
    members = json.loads((tmp_path / "all" / "ensemble.json").read_text())["models"]
    assert members == [str(several / name / "model.pt") for name in ("a", "b")]
    infer(tmp_path / "masks", good / "imagesTr" / "p0.nii.gz", model_dir=str(several))
    assert "the mean of 2 models" in said()
    assert (tmp_path / "masks" / "p0_mask.nii.gz").is_file()


@pytest.mark.parametrize("bundle", ["evaluate", "infer"])
def test_precision_is_bf16_where_all_members_are_for_it(bundle, several, monkeypatch):
    monkeypatch.setenv("SEGXFER3D_AMP", "True")
    paths = [str(several / name / "model.pt") for name in ("a", "b")]
    for those_for_it, expected in ((paths, True), (paths[:1], False), ([], False)):
        monkeypatch.setattr(checkpoint, "amp_of", lambda path, *, unknown, those=those_for_it: path in those or unknown)
        parser = ConfigParser()
        parser.read_config(BUNDLES / f"{bundle}.json")
        parser.update({"model_dir": str(several), "checkpoint": ""})
        assert parser.get_parsed_content("amp") is expected


def test_models_are_named_once(native, several, good, tmp_path):
    both = {"checkpoint": native, "model_dir": str(several)}
    scan = str(good / "imagesTr" / "p0.nii.gz")
    refused("infer", tmp_path, "checkpoint and model_dir: expected one of them", input=scan, **both, **QUIET)
    refused("infer", tmp_path, "no such folder", input=scan, model_dir=str(tmp_path / "no"), **QUIET)


def test_options_of_images_are_refused_beside_a_model_of_volumes(native, good, tmp_path):
    message = f"image_kind gray, exif shown: of images; the model {native} is of volumes, expected none"
    asked = {"checkpoint": native, "image_kind": "gray", "exif": "shown", **QUIET}
    refused("evaluate", tmp_path, message, dataset_dir=str(good), **asked)
    refused("infer", tmp_path, message, input=str(good / "imagesTr"), **asked)
