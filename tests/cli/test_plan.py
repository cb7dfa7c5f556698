"""The command ``plan``: what it prints fits a terminal, and what it writes is a plan."""

import json

import numpy as np
import pytest

from segxfer3d.data.planning import Plan
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.data.synthetic.phantoms import write_phantoms
from segxfer3d.training import capacity
from tests.cli.test_cli import call
from tests.data.volumes import write_nifti


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("data"), 6)


def test_a_plan_with_its_reasons_fits_80_columns(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "voxels_per_second", lambda device, amp: 182e3)
    status, said = call(
        "plan", phantoms, "--minutes", 2, "--memory", 4, "--label-count", 2, "--json", tmp_path / "p.json"
    )
    assert status == 0
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("labeled volumes train; CT")
    assert lines[1] == "plain_unet on cpu: 4 GiB, 182,000 voxels a second"
    assert "patch_size: [32,32,16]" in lines
    assert "strides: [[1,1,1], [2,2,2], [2,2,1]]" in lines
    assert "stem: [2,2,2]" in lines
    assert next(line for line in lines if line.startswith("steps: ")) > "steps: 250"
    plan = Plan.from_dict(json.loads((tmp_path / "p.json").read_text()))
    assert (plan.batch_size, plan.features) == (4, (16, 32, 64))
    assert plan.intensity.rule == "foreground"


def test_without_minutes_nothing_is_measured(phantoms, monkeypatch):
    monkeypatch.setattr(capacity, "voxels_per_second", None)
    status, said = call("plan", phantoms, "--memory", 8)
    assert status == 0
    assert "patch_size: [80,64,40]" in said
    assert "features: [32,64,128,256,320]" in said
    assert "steps" not in said


def test_only_training_cases_shape_the_plan(phantoms):
    one, other = (call("plan", phantoms, "--memory", 8, "--split-seed", seed)[1] for seed in (0, 1))
    assert one != other


def test_what_cannot_be_planned_is_one_sentence(tmp_path):
    images = write_images(tmp_path, 20)
    status, said = call("plan", images)
    assert (status, said) == (1, said)
    assert "a plan is for volumes, images are resized to --image_size" in said
    write_nifti(tmp_path / "bare/a.nii.gz", np.zeros((4, 4, 4), np.int16))
    status, said = call("plan", tmp_path / "bare")
    assert (status, said) == (1, f"{tmp_path / 'bare'}: no labels found; a plan is made from image/label pairs")


def test_too_little_memory_says_what_is_needed(phantoms):
    status, said = call("plan", phantoms, "--memory", 0.01)
    assert status == 1
    assert said.startswith("memory: 0.01 GiB are too few")
