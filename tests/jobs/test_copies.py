"""A copy of a data set under another name, its files called otherwise: what was trained on is known by its voxels."""

import logging
import shutil

import pytest

from segxfer3d.data.cubes.make import make_cube_store
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, write_dataset

pytestmark = MARKS
QUICK = {**TINY, "max_epochs": 1, "steps_per_epoch": 1, "validation_interval": 1}
SEEN = (
    "this checkpoint was trained on 2 of the 2 test volumes, without their masks: the same voxels, in the data set copy"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("copies") / "set", patients=8)


@pytest.fixture(scope="module")
def copy(data):
    """Its images alone, which nobody tests, so that all but one pretrain."""
    folder = data.parent / "copy"
    folder.mkdir()
    for number, path in enumerate(sorted((data / "imagesTr").glob("*.nii.gz"))):
        shutil.copy(path, folder / f"scan_{number:03}.nii.gz")
    return folder


@pytest.mark.parametrize("stored", [False, True])
def test_a_finetuning_warns(data, copy, stored, tmp_path, caplog):
    place = copy
    if stored:
        how = {"cube_size": tuple(TINY["patch_size"]), "cubes_per_volume": 2, "crop_rule": "uniform"}
        place = make_cube_store(copy, tmp_path / "cubes", **how).folder
    start = {"dataset_dir": str(place), "output_dir": str(tmp_path / "pre"), "validation_fraction": 0.0}
    run_bundle(BUNDLES / "genesis_pretrain.json", **{**QUICK, **start})
    weights = str(tmp_path / "pre" / "model.pt")
    assert len(checkpoint.read_model(weights)["provenance"]["contents"]) == 8
    caplog.set_level(logging.INFO)
    start = {"dataset_dir": str(data), "init": "encoder", "label_count": 1, "overlap": 0.0, "checkpoint": weights}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), **{**QUICK, **start})
    assert SEEN in caplog.text


def test_an_evaluation_warns(data, tmp_path, caplog):
    start = {"dataset_dir": str(data), "init": "random", "label_count": 2, "overlap": 0.0}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), **{**QUICK, **start})
    shutil.copytree(data, tmp_path / "renamed")
    caplog.set_level(logging.INFO)
    run_bundle(
        BUNDLES / "evaluate.json", output_dir=str(tmp_path / "e"), dataset_dir=str(tmp_path / "renamed"), part="all",
        checkpoint=str(tmp_path / "run" / "model.pt"), progress=False, device="cpu", overlap=0.0,
    )  # fmt: skip
    assert "2 of these volumes trained the model: the same voxels, in the data set set: not an honest" in caplog.text
