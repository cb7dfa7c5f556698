"""The bundles of images, run in this process on small generated ones: what they leave, how they split and resume."""

import re

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

from segxfer3d.augment.finetune_views import FinetuneViews
from segxfer3d.augment.patch_batches import BatchAugmentation
from segxfer3d.data.synthetic.images import CLASSES, write_images
from segxfer3d.errors import InputError
from segxfer3d.networks import image_unet
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.image_files import noise, save, square
from tests.jobs.image_runs import TINY, finetune, lines, read, rows, run
from tests.jobs.test_volumes import BUNDLES, pytestmark
from tests.training.test_resume import assert_same_run, stop_at

__all__ = ["pytestmark"]

CONTRAST = {"accuracy", "entropy", "embedding_std"}
# pretext -> what its network learned, and its signs beside the loss
PRETEXTS = {
    "reconstruction": (["encoder", "decoder", "head"], set()),
    "simclr": (["encoder"], CONTRAST),
    "moco": (["encoder"], CONTRAST),
    "byol": (["encoder"], {"embedding_std"}),
    "conrec": (
        ["encoder", "decoder", "head"],
        CONTRAST | {"loss_contrast", "loss_clean", "loss_plain", "loss_where", "loss_blacked"},
    ),
    "classification": (["encoder"], {"accuracy"}),
    "segmentation": (["encoder", "decoder", "head"], set()),
}
# columns of its pictures
COLUMNS = {"classification": 3, "reconstruction": 3, "conrec": 9, "segmentation": 3}


@pytest.fixture(scope="module")
def pretrained(shapes, tmp_path_factory):
    """A folder with a run of every pretext."""
    root = tmp_path_factory.mktemp("runs")
    for name in PRETEXTS:
        run(f"{name}_pretrain", root / name, dataset_dir=str(shapes))
    return root


@pytest.mark.parametrize("name", PRETEXTS)
def test_pretraining_leaves_a_model_its_signs_and_pictures(name, pretrained):
    folder = pretrained / name
    parts, signs = PRETEXTS[name]
    model = checkpoint.read_model(folder / "model.pt")
    assert model["provenance"]["pretext"].lower() == name
    assert model["provenance"]["trained_parts"] == parts
    assert (model["provenance"]["job"], model["provenance"]["cases"]) == (f"{name}_pretrain", 27)
    assert model["preprocessing"] == {"image_size": 16, "channels": 3}
    record = lines(folder)
    assert [line["epoch"] for line in record] == [1, 2]
    assert all({"loss", "lr", *signs} <= line.keys() for line in record)
    assert {"validation_loss", *(f"validation_{sign}" for sign in signs)} <= record[1].keys()
    assert not {"neighbor_accuracy", "linear_accuracy"} & record[0].keys()
    assert {"neighbor_accuracy", "linear_accuracy"} <= record[1].keys()
    assert all(np.isfinite(value) for line in record for value in line.values())
    assert [path.name for path in (folder / "pictures").iterdir()] == ["epoch-00002.png"]
    with Image.open(folder / "pictures" / "epoch-00002.png") as picture:
        side = 18  # of a picture and the gap behind it
        assert picture.size == (side * COLUMNS.get(name, 2) - 2, side * 8 - 2)
    assert (folder / "done.json").is_file()


@pytest.mark.parametrize("init", ["encoder", "encoder+decoder"])
@pytest.mark.parametrize("name", PRETEXTS)
def test_finetuning_from_every_pretext(name, init, pretrained, shapes, tmp_path, caplog):
    caplog.set_level("INFO")
    knobs = {"dataset_dir": str(shapes), "init": init, "checkpoint": str(pretrained / name / "model.pt")}
    knobs |= {"max_epochs": 1, "steps_per_epoch": 1}
    if "decoder" not in PRETEXTS[name][0] and init == "encoder+decoder":
        with pytest.raises(InputError, match=r"init encoder\+decoder: .*did not train the decoder; expected --init"):
            finetune(tmp_path / "run", **knobs)
        assert list(tmp_path.iterdir()) == []
        return
    finetune(tmp_path / "run", **knobs)
    report = read(tmp_path / "run", "transfer.json")
    assert {key.split(".")[0] for key in report["loaded"]} == set(init.split("+"))
    tested = set(read(tmp_path / "run", "split.json")["test"])
    assert {row["case"] for row in rows(tmp_path / "run")} == tested
    warning = re.search(r"trained on (\d+) of the (\d+) test images(.*);", caplog.text)
    seen = checkpoint.read_model(pretrained / name / "model.pt")["provenance"]["patients"]
    assert (int(warning[1]), int(warning[2])) == (len(tested & set(seen)), len(tested))
    assert (warning[3] == ", without their masks") == (name != "segmentation")


def test_a_checkpoint_brings_its_sizes_but_those_set_by_hand(pretrained, shapes, tmp_path):
    knobs = {"init": "encoder", "label_count": 4, "checkpoint": str(pretrained / "simclr" / "model.pt")}
    knobs |= {"dataset_dir": str(shapes), **{name: TINY[name] for name in TINY if name not in ("width", "image_size")}}
    run_bundle(BUNDLES / "unet2d_finetune.json", output_dir=str(tmp_path / "run"), **knobs)
    model = checkpoint.read_model(tmp_path / "run" / "model.pt")
    before = checkpoint.read_model(knobs["checkpoint"])
    assert model["network"]["arguments"]["width"] == before["network"]["arguments"]["width"] == TINY["width"]
    assert model["preprocessing"] == before["preprocessing"]
    with pytest.raises(InputError, match=f"its network has width {TINY['width']}, this one 4; --width {TINY['width']}"):
        run_bundle(BUNDLES / "unet2d_finetune.json", output_dir=str(tmp_path / "wide"), width=4, **knobs)
    assert checkpoint.of_images(knobs["checkpoint"]) == {
        "network": "conrec_unet",
        "width": TINY["width"],
        "image_size": TINY["image_size"],
    }


@pytest.mark.parametrize(
    ("recipe", "axes", "views"), [("paper", "x", FinetuneViews), ("strong", "xy", BatchAugmentation)]
)
def test_the_recipe_says_how_images_change(recipe, axes, views, shapes, tmp_path):
    workflow = finetune(tmp_path / "run", dataset_dir=str(shapes), recipe=recipe, mirror_axes=axes)
    changed = workflow.parser.get_parsed_content("train::preparation").views
    assert type(changed) is views
    if recipe == "strong":
        assert (changed.augmentation.rotate, changed.augmentation.mirror_axes) == (0.5, (0, 1))
    inference = checkpoint.read_model(tmp_path / "run" / "model.pt")["inference"]
    assert inference["mirror_axes"] == ([] if recipe == "paper" else [0, 1])


@pytest.fixture(scope="module")
def finetuned(shapes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finetune"
    finetune(folder, dataset_dir=str(shapes), validation_fraction=0.25, validation_interval=1)
    return folder


def test_finetuning_leaves_a_row_for_every_image(finetuned):
    model = checkpoint.read_model(finetuned / "model.pt")
    assert (model["classes"], model["provenance"]["cases"]) == ({1: "foreground"}, 3)
    split = read(finetuned, "split.json")
    assert [len(split[part]) for part in ("pretrain", "train", "validation", "test")] == [0, 3, 1, 26]
    assert read(finetuned, "labels.json")["cases"] == split["train"] == model["provenance"]["patients"]
    table = rows(finetuned)
    assert [row["case"] for row in table] == split["test"]
    assert all(0 <= float(row["dice"]) <= 1 for row in table)
    assert all(float(row["label_pixels"]) > 0 and "label_mm3" not in row for row in table)
    summary = read(finetuned, "cases_summary.json")
    assert summary["dice"] == pytest.approx(np.mean([float(row["dice"]) for row in table]))
    assert all(0 <= line["validation_dice"] <= 1 for line in lines(finetuned))


@pytest.mark.parametrize("name", [*(f"{name}_pretrain" for name in PRETEXTS), "unet2d_finetune"])
def test_standard_ids_are_all_there(name, shapes, tmp_path):
    knobs = {**TINY, "dataset_dir": str(shapes), "output_dir": str(tmp_path / "run")}
    if name == "unet2d_finetune":
        knobs |= {"init": "random", "label_count": 4}
    workflow = ConfigWorkflow(str(BUNDLES / f"{name}.json"), workflow_type="train", logging_file=False, **knobs)
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.finalize()


@pytest.mark.parametrize("name", ["moco_pretrain", "unet2d_finetune"])
def test_a_stopped_run_resumes_bit_for_bit(name, shapes, tmp_path, monkeypatch):
    knobs = {"dataset_dir": str(shapes), "max_epochs": 4, "validation_interval": 3}
    knobs |= {"init": "random", "label_count": 4} if name == "unet2d_finetune" else {"queue_size": 6}
    run(name, tmp_path / "whole", **knobs)
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(name, tmp_path / "run", **knobs)
    assert not (tmp_path / "run" / "model.pt").exists()
    run(name, tmp_path / "run", **knobs, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    states = [
        torch.load(tmp_path / folder / "checkpoints" / "epoch-00004.pt", weights_only=True)["network"]
        for folder in ("whole", "run")
    ]
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())  # the queue and all


def test_published_imagenet_weights(shapes, tmp_path):
    torch.manual_seed(5)
    encoder = image_unet("resnet18").encoder.resnet.state_dict()
    published = {**encoder, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(published, tmp_path / "resnet18.pth")
    knobs = {"dataset_dir": str(shapes), "checkpoint": str(tmp_path / "resnet18.pth"), "max_epochs": 1}
    knobs |= {"backbone": "resnet18", "image_size": 32, "steps_per_epoch": 1, "init": "frozen-encoder"}
    finetune(tmp_path / "run", **knobs)
    weights = checkpoint.read_model(tmp_path / "run" / "model.pt")["state_dict"]
    assert all(torch.equal(weights[f"encoder.resnet.{key}"], tensor) for key, tensor in encoder.items())
    assert read(tmp_path / "run", "transfer.json")["unused"] == ["fc.weight", "fc.bias"]
    assert len(rows(tmp_path / "run")) == 26
    with pytest.raises(InputError, match=r"a foreign one; expected model\.pt of a run; --backbone resnet18"):
        finetune(tmp_path / "other", **{**knobs, "backbone": "conrec"})


def test_more_images_to_pretrain_on(shapes, tmp_path):
    for index in range(3):
        save(tmp_path / "more" / f"{index}.png", noise((20, 30), seed=index))
    run(
        "simclr_pretrain", tmp_path / "run", dataset_dir=str(shapes), extra_dataset_dir=str(tmp_path / "more"),
        steps_per_epoch=20, max_epochs=1,
    )  # fmt: skip
    provenance = checkpoint.read_model(tmp_path / "run" / "model.pt")["provenance"]
    assert (provenance["cases"], provenance["extra"]["cases"]) == (27, 3)
    assert (provenance["extra"]["data"], provenance["extra"]["patients"]) == ("more", ["0", "1", "2"])
    assert [len(read(tmp_path / "run", f"{name}.json")["good"]) for name in ("data_check", "extra_check")] == [30, 3]


def test_gray_images(tmp_path):
    root = write_images(tmp_path / "gray", 24, size=24, channels=1)
    run("conrec_pretrain", tmp_path / "p", dataset_dir=str(root), max_epochs=1)
    finetune(tmp_path / "f", dataset_dir=str(root), init="encoder+decoder", checkpoint=str(tmp_path / "p" / "model.pt"))
    for name in ("p", "f"):
        model = checkpoint.read_model(tmp_path / name / "model.pt")
        assert (model["network"]["arguments"]["in_channels"], model["preprocessing"]["channels"]) == (1, 1)
    assert len(rows(tmp_path / "f")) == 20


def test_without_data_images_are_generated_and_pretrained_on(tmp_path, caplog):
    knobs = {"init": "encoder", "generated_images": 20, "max_epochs": 1}
    with caplog.at_level("INFO", "segxfer3d"):
        finetune(tmp_path / "unet2d_finetune" / "001", **knobs)
    (root,) = (tmp_path / "generated").iterdir()
    assert {path.name for path in (root / "images").iterdir()} == set(CLASSES)
    model = checkpoint.read_model(tmp_path / "unet2d_finetune" / "001-pretraining" / "model.pt")
    assert model["provenance"]["pretext"] == "Reconstruction"
    assert len(rows(tmp_path / "unet2d_finetune" / "001")) == 16
    assert "pretraining briefly first" in caplog.text


def test_masks_with_another_border_leave_the_probe_as_it_is(tmp_path):
    names = [f"{breed}_{number}" for breed in ("beagle", "pug") for number in range(12)]
    for number, name in enumerate(names):
        save(tmp_path / "images" / f"{name}.jpg", noise(seed=number))
        save(tmp_path / "annotations" / "trimaps" / f"{name}.png", 2 - square() + (np.arange(16) == 0))
    (tmp_path / "annotations" / "list.txt").write_text("".join(f"{name} 1 2 1\n" for name in names))
    run(
        "segmentation_pretrain", tmp_path / "run", dataset_dir=str(tmp_path), border="background", max_epochs=1,
        monitor_interval=1, validation_fraction=0,
    )  # fmt: skip
    assert "neighbor_accuracy" in lines(tmp_path / "run")[-1]


@pytest.mark.parametrize(("name", "validates"), [("simclr", False), ("conrec", False), ("reconstruction", True)])
def test_one_validation_image_has_none_to_be_told_from(name, validates, tmp_path, caplog):
    for number in range(12):
        save(tmp_path / "set" / f"{number:02}.png", noise((32, 32), seed=number))
    with caplog.at_level("INFO", "segxfer3d"):
        run(f"{name}_pretrain", tmp_path / "run", dataset_dir=str(tmp_path / "set"), validation_interval=1, keep="best")
    assert len(read(tmp_path / "run", "split.json")["validation"]) == 1
    assert ["validation_loss" in line for line in lines(tmp_path / "run")] == [validates] * 2
    assert ("note: 1 image validates, and this pretext compares 2 or more" in caplog.text) == (not validates)
    assert (tmp_path / "run" / "model.pt").is_file()
