"""What a user may get wrong with images, through the bundles: refused before any work, the culprit named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.networks import build, conrec_unet, genesis_unet
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.weights import checkpoint
from tests.data.image_files import noise, save, square
from tests.jobs.image_runs import TINY, lines, run
from tests.jobs.test_bad_volumes import TINY as TINY_VOLUMES
from tests.jobs.test_bad_volumes import refused
from tests.jobs.test_volumes import pytestmark

__all__ = ["pytestmark"]

FINETUNE = {**TINY, "init": "random", "label_count": 4}


def image(root, ending=".png"):
    """The file of one image, under another ending if one is given."""
    path = root / "images" / "disk" / "disk-0001.png"
    if ending != ".png":
        path.unlink()
    return path.with_suffix(ending)


def mask(root):
    return root / "masks" / "disk" / "disk-0001.png"


def truncated_jpeg(root):
    path = save(image(root, ".jpg"), noise((24, 24)))
    path.write_bytes(path.read_bytes()[:-300])


def class_without_image(root):
    for path in (root / "images" / "star").iterdir():
        path.unlink()


def gray_but_one(root):
    color = image(root).read_bytes()
    for path in (root / "images").rglob("*.png"):
        with Image.open(path) as picture:
            gray = picture.convert("L")
        gray.save(path)
    image(root).write_bytes(color)


def voc_folders(root):
    shutil.rmtree(root)
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for part in ("train", "val"):
        (root / "ImageSets" / "Segmentation" / f"{part}.txt").touch()


def voc_images(root, names, value):
    for name in names:
        save(root / "JPEGImages" / f"{name}.jpg", noise((24, 24)))
        save(root / "SegmentationClass" / f"{name}.png", square((24, 24), value))
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("\n".join(names))


BROKEN = {
    "corrupt jpeg": (truncated_jpeg, r"disk-0001\.jpg: cannot be read, damaged or truncated"),
    "gray": (lambda r: save(image(r), noise((24, 24), 1)), r"disk-0001\.png: a gray image \(L\); expected a color"),
    "rgba": (
        lambda r: save(image(r), noise((24, 24), 4)),
        r"disk-0001\.png: .*transparency \(RGBA\); expected a color",
    ),
    "cmyk": (lambda r: save(image(r, ".jpg"), noise((24, 24)), "CMYK"), r"disk-0001\.jpg: a CMYK image"),
    "color among gray": (gray_but_one, r"disk-0001\.png: a color image \(RGB\); expected a gray"),
    "one image only": (
        lambda r: [path.unlink() for part in "im" for path in r.rglob("*.png") if "disk-0001" not in path.name],
        r"one image only; expected at least two",
    ),
    "no folder": (shutil.rmtree, r"dataset_dir .*set: no such folder"),
}
BROKEN_MASKS = {
    "mask of another size": (
        lambda r: save(mask(r), square((12, 12), 255)), r"disk-0001\.png: the mask is 12x12, its image 24x24",
    ),
    "mask values": (lambda r: save(mask(r), square((24, 24), 7)), r"disk-0001\.png: mask values 7; expected 0, 1, 255"),
    "mask missing": (lambda r: mask(r).unlink(), r"disk-0001\.png \(image without mask\)"),
    "no masks": (lambda r: shutil.rmtree(r / "masks"), r"set: no masks; expected the folders images and masks"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*BROKEN, *BROKEN_MASKS])
def test_finetuning_refuses_images(case, shapes, tmp_path):
    root = Path(shutil.copytree(shapes, tmp_path / "set"))
    break_it, message = {**BROKEN, **BROKEN_MASKS}[case]
    break_it(root)
    refused("unet2d_finetune", tmp_path, message, **{**FINETUNE, "dataset_dir": str(root)})


@pytest.mark.parametrize("case", BROKEN)
def test_pretraining_refuses_images(case, shapes, tmp_path):
    root = Path(shutil.copytree(shapes / "images", tmp_path / "set" / "images")).parent
    break_it, message = BROKEN[case]
    break_it(root)
    refused("simclr_pretrain", tmp_path, message, **TINY, dataset_dir=str(root))


def test_bad_images_can_be_left_out(shapes, tmp_path):
    root = Path(shutil.copytree(shapes, tmp_path / "set"))
    truncated_jpeg(root)
    run("segmentation_pretrain", tmp_path / "run", dataset_dir=str(root), skip_bad_cases=True, max_epochs=1)
    assert list(json.loads((tmp_path / "run" / "data_check.json").read_text(encoding="utf-8"))["bad"]) == [
        "disk_disk-0001"
    ]


@pytest.mark.parametrize(
    ("bundle", "knobs", "message"),
    [
        ("unet2d_finetune", {"label_count": None, "label_fraction": 0.01}, "label_fraction 0.01 of 30 images is none"),
        ("unet2d_finetune", {"label_count": 30}, "30 of 30 images to train on leave nothing to evaluate on"),
        ("unet2d_finetune", {"label_count": None}, "label_fraction or label_count: expected one of them, to say"),
        ("unet2d_finetune", {"label_count": 1, "validation_fraction": 0.1}, "validation_fraction 0.1 of 1 .* none"),
        ("unet2d_finetune", {"pretrain_fraction": 0.99}, r"0\.99 of 30 images apart leaves none"),
        ("unet2d_finetune", {"init": "encoder"}, "checkpoint: init encoder needs one.*reconstruction_pretrain.json"),
        ("unet2d_finetune", {"batch_size": 1, "image_size": 8}, "batch_size: one image of image_size 8"),
        ("unet2d_finetune", {"image_size": 20}, "image_size: expected a multiple of 8"),
        ("unet2d_finetune", {"backbone": "resnet18", "image_size": 48}, "image_size: a ResNet needs a multiple of 32"),
        ("unet2d_finetune", {"official_split": True}, "the official split: no image of its training part"),
        ("unet2d_finetune", {"target": "star"}, "target 'star': expected the number that marks the target"),
        ("unet2d_finetune", {"dataset": "flower17"}, "dataset 'flower17': unknown; did you mean flowers17"),
        ("unet2d_finetune", {"dataset": "voc", "dataset_dir": ""}, "dataset_dir: where is the data set voc"),
        ("unet2d_finetune", {"dataset": "voc"}, "not the layout of Pascal VOC 2012: no JPEGImages.*unpack VOCtrainval"),
        ("unet2d_finetune", {"border": "inside"}, "border: expected one of ignore, foreground, background"),
        ("unet2d_finetune", {"lable_count": 3}, "did you mean --label_count"),
        ("unet2d_finetune", {"lr": 1e9}, "lr: expected a number above 0"),
        ("simclr_pretrain", {"batch_size": 1}, "batch_size: SimCLR needs at least 2 samples"),
        ("moco_pretrain", {"batch_size": 1}, "batch_size: MoCo needs at least 2 samples"),
        ("moco_pretrain", {"queue_size": 3}, "queue_size: 3 keys, fewer than the 4 of one step"),
        ("byol_pretrain", {"batch_size": 1}, "batch_size: BYOL needs at least 2 samples"),
        ("conrec_pretrain", {"batch_size": 1}, "batch_size: ConRec needs at least 2 samples"),
        ("conrec_pretrain", {"own_stages": 4}, "own_stages: expected 0 to 3"),
        ("reconstruction_pretrain", {"batch_size": 1, "image_size": 8}, "batch_size: one image of image_size 8"),
        ("classification_pretrain", {"batch_size": 1, "image_size": 8}, "batch_size: one image of image_size 8"),
        ("reconstruction_pretrain", {"validation_fraction": 0.99}, r"0\.99 of 30 images apart leaves none"),
        (
            "simclr_pretrain",
            {"official_split": True, "pretrain_fraction": 0.5},
            "official_split and pretrain_fraction: expected one of them, got True and 0.5",
        ),
        ("simclr_pretrain", {"extra_dataset": "voc"}, "extra_dataset_dir: where is the data set voc"),
        ("simclr_pretrain", {"extra_dataset_dir": "nowhere"}, "dataset_dir nowhere: no such folder"),
        ("segmentation_pretrain", {"extra_dataset_dir": "x"}, "extra_dataset_dir: .* needs segmentation data of one"),
    ],
)
def test_knobs_are_refused(bundle, knobs, message, shapes, tmp_path):
    base = FINETUNE if bundle == "unet2d_finetune" else TINY
    refused(bundle, tmp_path, message, **{**base, "dataset_dir": str(shapes), **knobs})


def test_targets_and_classes_are_refused(shapes, tmp_path):
    root = Path(shutil.copytree(shapes, tmp_path / "set"))
    class_without_image(root)
    refused("classification_pretrain", tmp_path, "no image of 1 of its classes: star", **TINY, dataset_dir=str(root))
    voc_folders(root)
    knobs = {**FINETUNE, "dataset": "voc", "dataset_dir": str(root)}
    refused("unet2d_finetune", tmp_path, "target 'hors': unknown; did you mean horse", **knobs, target="hors")
    voc_images(root, ("2007_1", "2007_2", "2007_3"), 13)
    knobs |= {"target": "horse", "label_count": 4}
    refused("unet2d_finetune", tmp_path, r"voc, horse: label_count: expected 1 to 3 \(the images\), got 4", **knobs)
    save(tmp_path / "gray" / "0.png", noise(channels=1))
    knobs = {**TINY, "dataset_dir": str(shapes), "extra_dataset_dir": str(tmp_path / "gray")}
    refused("simclr_pretrain", tmp_path, r"extra_dataset_dir .*gray: 1 channels, .* 3", **knobs)


# --- losses and weights that are not finite ---


def spoiled(monkeypatch, name, step):
    """Have SimCLR spoil its loss, or its weights, in a step."""
    original = {"forward": SimCLR.forward, "after_step": SimCLR.after_step}[name]
    steps = []

    def forward(self, batch):
        losses = original(self, batch)
        if self.training:
            steps.append(0)
        return {**losses, "loss": losses["loss"] * (torch.nan if len(steps) == step else 1)}

    def after_step(self):
        steps.append(0)
        if len(steps) == step:
            torch.nn.init.constant_(self.projection[0].weight, torch.inf)

    monkeypatch.setattr(SimCLR, name, {"forward": forward, "after_step": after_step}[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("forward", r"the loss is nan at step 4 \(epoch 2, learning rate .*\): try a smaller --lr such as"),
        ("after_step", r"projection\.0\.weight is not finite after step 4 \(epoch 2, .*\): try a smaller --lr"),
    ],
)
def test_a_run_stops_at_what_is_not_finite(name, message, shapes, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        spoiled(patch, name, 4)
        with pytest.raises(InputError, match=message):
            run("simclr_pretrain", tmp_path / "run", dataset_dir=str(shapes))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["epoch-00001.pt"]
    assert not (tmp_path / "run" / "model.pt").exists()
    run("simclr_pretrain", tmp_path / "run", dataset_dir=str(shapes), resume=True)
    assert [line["epoch"] for line in lines(tmp_path / "run")] == [1, 2]


# --- checkpoints of another dimension ---


def write_model(path, network, preprocessing, classes):
    provenance = {"patch_size": [16, 16] if "image_size" in preprocessing else [16, 16, 8], "job": "test"}
    checkpoint.write_model(path, network.state_dict(), network.definition, preprocessing, classes, provenance)
    build(network.definition)
    return str(path)


def test_two_and_three_dimensions_do_not_mix(shapes, phantoms, tmp_path):
    window = {
        "spacing": None,
        "intensity": "window",
        "window_low": -1000.0,
        "window_high": 1000.0,
        "orientation": "RAS",
    }
    volumes = write_model(tmp_path / "3d.pt", genesis_unet(width=2), window, {1: "nodule"})
    images = write_model(tmp_path / "2d.pt", conrec_unet(width=2), {"image_size": 16, "channels": 3}, {1: "cat"})
    knobs = {**FINETUNE, "dataset_dir": str(shapes), "init": "encoder", "checkpoint": volumes}
    refused("unet2d_finetune", tmp_path, r"3d\.pt: its network is genesis_unet, this one conrec_unet", **knobs)
    knobs = {**TINY_VOLUMES, "dataset_dir": str(phantoms), "init": "encoder", "checkpoint": images}
    refused("genesis_finetune", tmp_path, r"2d\.pt: its network is conrec_unet, this one plain_unet", **knobs)
    knobs = {"checkpoint": images, "progress": False, "device": "cpu"}
    refused("evaluate", tmp_path, r"2d\.pt: a model of 2D images", **knobs, dataset_dir=str(phantoms))
    refused("infer", tmp_path, r"2d\.pt: a model of 2D images", **knobs, input=str(phantoms / "imagesTr"))
    knobs["checkpoint"] = volumes
    refused(
        "evaluate",
        tmp_path,
        r"3d\.pt: a model of 3D volumes; dataset_dir .* holds images",
        **knobs,
        dataset_dir=str(shapes),
    )
    refused("infer", tmp_path, r"3d\.pt: a model of 3D volumes", **knobs, input=str(shapes / "images"))


def test_a_backbone_that_contradicts_the_network_is_refused(shapes, tmp_path):
    knobs = {**FINETUNE, "dataset_dir": str(shapes), "backbone": "resnet18", "network": "conrec_unet"}
    message = "backbone resnet18: network is conrec_unet; expected one of them, or the same"
    refused("unet2d_finetune", tmp_path, message, **knobs)
    del knobs["init"], knobs["label_count"]
    refused("simclr_pretrain", tmp_path, message, **knobs)


def test_images_have_no_third_axis_to_mirror_along(shapes, tmp_path):
    knobs = {**FINETUNE, "dataset_dir": str(shapes), "mirror_axes": "xz"}
    refused("unet2d_finetune", tmp_path, r"mirror_axes xz: images have x \(across\) and y \(down\) only", **knobs)
    knobs |= {"mirror_axes": "xy", "augmentation": "flips"}
    message = r"mirror_axes xy: with --augmentation flips .* expected auto or x, or --augmentation full"
    refused("unet2d_finetune", tmp_path, message, **knobs)
