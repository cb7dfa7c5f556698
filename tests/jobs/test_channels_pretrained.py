"""Pretraining on volumes of several channels, on one of them, and on cubes of all."""

import json

from segxfer3d.data.cubes.make import make_cube_store
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights.checkpoint import read_model
from tests.jobs.test_channels import FINETUNE, NAMES, finetuned, one_file_each
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY

pytestmark = MARKS


def test_pretraining_on_several_channels_starts_a_finetuning(tmp_path):
    root = one_file_each(tmp_path / "data")
    knobs = {name: value for name, value in TINY.items() if name != "max_epochs"} | {"max_epochs": 1}
    run_bundle(
        BUNDLES / "genesis_pretrain.json", dataset_dir=str(root), output_dir=str(tmp_path / "pre"),
        network="plain_unet", pretrain_fraction=0.4, **knobs,
    )  # fmt: skip
    before = read_model(tmp_path / "pre" / "model.pt")
    arguments = before["network"]["arguments"]
    assert (arguments["in_channels"], arguments["out_channels"]) == (3, 3)
    assert before["preprocessing"]["channel_names"] == list(NAMES)
    start = {"init": "encoder+decoder", "checkpoint": str(tmp_path / "pre" / "model.pt"), "pretrain_fraction": 0.4}
    run = finetuned(root, tmp_path / "run", **{**FINETUNE, **start, "spacing": None, "label_count": 1})
    loaded = json.loads((run / "transfer.json").read_text())["loaded"]
    assert any(name.startswith("encoder.") for name in loaded)


def test_a_pretraining_on_one_channel_starts_a_network_of_three(tmp_path):
    root = one_file_each(tmp_path / "data")
    knobs = {name: value for name, value in TINY.items() if name != "max_epochs"} | {"max_epochs": 1}
    run_bundle(
        BUNDLES / "genesis_pretrain.json", dataset_dir=str(root), output_dir=str(tmp_path / "pre"),
        network="plain_unet", pretrain_fraction=0.4, channel_names="CT", **knobs,
    )  # fmt: skip
    assert read_model(tmp_path / "pre" / "model.pt")["network"]["arguments"]["in_channels"] == 1
    start = {"init": "encoder", "checkpoint": str(tmp_path / "pre" / "model.pt"), "pretrain_fraction": 0.4}
    run = finetuned(root, tmp_path / "run", **{**FINETUNE, **start, "spacing": None, "label_count": 1})
    transfer = json.loads((run / "transfer.json").read_text())
    assert transfer["stem"] == "its stem of 1 channel is repeated for 3 and divided by 3"


def test_cubes_of_all_channels_are_pretrained_on(tmp_path):
    root = one_file_each(tmp_path / "data")
    make_cube_store(root, tmp_path / "cubes", cube_size=tuple(TINY["patch_size"]), cubes_per_volume=4)
    knobs = {name: value for name, value in TINY.items() if name != "max_epochs"} | {"max_epochs": 1}
    run_bundle(
        BUNDLES / "genesis_pretrain.json", dataset_dir=str(tmp_path / "cubes"), output_dir=str(tmp_path / "pre"),
        network="plain_unet", **knobs,
    )  # fmt: skip
    before = read_model(tmp_path / "pre" / "model.pt")
    assert before["network"]["arguments"]["in_channels"] == 3
    assert before["preprocessing"]["channel_names"] == list(NAMES)
    start = {"init": "encoder", "checkpoint": str(tmp_path / "pre" / "model.pt"), "spacing": None, "label_count": 1}
    run = finetuned(root, tmp_path / "run", **{**FINETUNE, **start})
    assert "encoder" in json.loads((run / "transfer.json").read_text())["loaded"][0]
