"""Options and bundles that a user may get wrong: refused before any work."""

import re

import pytest

from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, image, refused

pytestmark = MARKS


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"datasetdir": "x"}, "--datasetdir: .*did you mean --dataset_dir"),
        ({"init": "encode"}, "init: expected one of random, encoder, .*got 'encode'"),
        ({"label_fraction": 0}, "label_fraction: expected a number above 0 and at most 1, or none, got 0"),
        ({"label_fraction": 1.2}, "label_fraction: .*got 1.2"),
        (
            {"label_fraction": 0.5, "label_count": 2},
            "label_fraction and label_count: expected one of them, got 0.5 and 2",
        ),
        ({"label_count": 4}, r"label_count: expected 1 to 3 \(the training patients\), got 4"),
        ({"label_fraction": 0.01}, "label_fraction 0.01 of 3 training patients is none"),
        (
            {"patch_size": [16, 16, 10], "recipe": "paper"},
            "patch_size 16 x 16 x 10: does not divide by the strides of the network, 8 x 8 x 8; next sizes: "
            "16 x 16 x 8 or 16 x 16 x 16",
        ),
        ({"patch_size": 16}, "patch_size: expected three whole numbers up to 1024, or none, got 16"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 4294967295, got -1"),
        ({"lr": "fast"}, "lr: expected a number above 0 and at most 1000, or none, got 'fast'"),
        ({"checkpoint": ""}, "checkpoint: init encoder needs one.*genesis_pretrain.json"),
        (
            {"init": "encoder", "checkpoint": "@pretrained", "width": 3},
            "its network has width 2, this one 3",
        ),
        ({"output_dir": "@file"}, r"output_dir: .*run cannot be written \(.*p0\.nii\.gz is no writable folder\)"),
        ({"resume": True}, "resume: .*run holds no run to go on with"),
        ({"patient_pattern": "q(.)"}, "patient_pattern 'q.*': finds no patient in the file name 'p0'"),
    ],
)
def test_knobs_are_refused(knobs, message, good, models, tmp_path):
    values = {"init": "random", **TINY, "dataset_dir": str(good), "output_dir": str(tmp_path / "run"), **knobs}
    if "checkpoint" in knobs:
        values |= {"init": "encoder", "checkpoint": knobs["checkpoint"].replace("@pretrained", models["pretrained"])}
    values["output_dir"] = values["output_dir"].replace("@file", str(image(good, "p0") / "run"))
    with pytest.raises(InputError, match=message):
        run_bundle(BUNDLES / "genesis_finetune.json", **values)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bundle", ["simclr_pretrain", "unet2d_finetune"])
@pytest.mark.parametrize("value", [[1, 2], 3])
def test_a_value_that_an_expression_of_the_bundle_cannot_take_is_named(bundle, value, tmp_path):
    refused(bundle, tmp_path, f"backbone: expected one of conrec, .*got {re.escape(repr(value))}", backbone=value)


def test_infer_has_no_dataset_dir(tmp_path):
    refused("infer", tmp_path, "--dataset_dir: this bundle takes --input instead", dataset_dir="x")


def test_configs_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"bundle nowhere\.json: no such file"):
        run_bundle("nowhere.json")
    (tmp_path / "broken.json").write_text('{"a": 1,')
    with pytest.raises(InputError, match=r"broken\.json: no JSON or YAML that can be read \(.*line 1"):
        run_bundle(tmp_path / "broken.json")
