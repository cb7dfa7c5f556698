"""Images that a benchmark measures, or that a fine-tuning tests on, are known when they pretrain, and it is said."""

import shutil

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from segxfer3d.data.content_hash import content_hash
from segxfer3d.report.collect import collect
from segxfer3d.report.results import results
from segxfer3d.report.words import caveats
from segxfer3d.weights import checkpoint
from segxfer3d.weights.summary import summarize
from tests.data.image_files import noise, save
from tests.jobs.test_images import finetune, read, run
from tests.jobs.test_volumes import pytestmark

__all__ = ["pytestmark"]


def test_test_images_that_pretrained_are_said_under_any_name(shapes, tmp_path):
    """In the fine-tuning's files and its report; another format, folder and name change nothing."""
    paths = sorted((shapes / "images").rglob("*.png"))[:12]
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            (tmp_path / "others").mkdir(exist_ok=True)
            image.save(tmp_path / "others" / f"{number}.bmp")
    run("simclr_pretrain", tmp_path / "p", dataset_dir=str(tmp_path / "others"), max_epochs=1, validation_fraction=0)
    knobs = {"dataset_dir": str(shapes), "checkpoint": str(tmp_path / "p" / "model.pt"), "init": "encoder"}
    finetune(tmp_path / "f", **knobs, max_epochs=1)
    tested = set(read(tmp_path / "f", "split.json")["test"])
    shared = tested & {"_".join(path.relative_to(shapes / "images").with_suffix("").parts) for path in paths}
    (note,) = read(tmp_path / "f", "transfer.json")["notes"]
    assert note.startswith(
        f"warning: this checkpoint was trained on {len(shared)} of the {len(tested)} test images, without their masks"
    )
    (caveat,) = [line for line in caveats(results(collect(tmp_path))) if "test images" in line]
    assert caveat.startswith("encoder (")
    assert note.removeprefix("warning: ") in caveat


def write_voc(root):
    for part, number in (("train", 5), ("val", 4)):
        names = [f"{part}_{index}" for index in range(number)]
        for seed, name in enumerate(names):
            save(root / "JPEGImages" / f"{name}.jpg", noise((20, 30), seed=seed))
        listed = root / "ImageSets" / "Segmentation" / f"{part}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("\n".join(names))


def write_pets(root):
    names = [f"beagle_{number}" for number in range(8)]
    for seed, name in enumerate(names):
        save(root / "images" / f"{name}.jpg", noise((20, 30), seed=100 + seed))
        trimap = np.full((20, 30), 2, np.uint8)
        trimap[5:15, 5:20] = 1
        save(root / "annotations" / "trimaps" / f"{name}.png", trimap)
    parts = {"trainval": names[:6], "test": names[6:], "list": names}
    for file, listed in parts.items():
        (root / "annotations" / f"{file}.txt").write_text("".join(f"{name} 1 2 1\n" for name in listed))


def test_the_official_validation_part_among_images_that_pretrain(tmp_path, caplog):
    caplog.set_level("INFO", "segxfer3d")
    write_voc(tmp_path / "voc")
    knobs = {"dataset": "voc", "dataset_dir": str(tmp_path / "voc"), "max_epochs": 1, "validation_fraction": 0}
    for name, official, parts in (("all", False, {"train": 5, "val": 4}), ("train", True, {"train": 5})):
        caplog.clear()
        run("simclr_pretrain", tmp_path / name, **knobs, official_split=official)
        model = checkpoint.read_model(tmp_path / name / "model.pt")
        assert model["provenance"]["official_parts"] == parts
        assert f"  official_parts: {parts}" in summarize(tmp_path / name / "model.pt")
        assert ("4 of 9 images are of the official validation part of voc" in caplog.text) == (not official)


def test_extra_images_are_of_their_own_data_set(tmp_path, caplog):
    """What is said of official parts while they pretrain, what the checkpoint notes, and what later warnings name."""
    caplog.set_level("INFO", "segxfer3d")
    write_voc(tmp_path / "voc")
    write_pets(tmp_path / "pets")
    extra = {"extra_dataset": "oxford_pets", "extra_dataset_dir": str(tmp_path / "pets")}
    knobs = {"dataset": "voc", "dataset_dir": str(tmp_path / "voc"), "max_epochs": 1, **extra}
    run("simclr_pretrain", tmp_path / "p", **knobs, official_split=True)
    assert "of the official validation part of voc" not in caplog.text
    assert (
        "note: 2 of 8 images are of the official validation part of oxford_pets, which is what benchmarks measure; all "
        "of extra_dataset_dir pretrain: leave their files out of it"
    ) in caplog.text
    said = summarize(tmp_path / "p" / "model.pt")
    assert "  official_parts: {'train': 5}" in said
    assert "  extra data: oxford_pets" in said
    assert "  extra official_parts: {'train': 6, 'val': 2}" in said
    start = {"checkpoint": str(tmp_path / "p" / "model.pt"), "init": "encoder", "max_epochs": 1, "label_count": 2}
    finetune(tmp_path / "f", dataset_dir=str(tmp_path / "pets"), dataset="oxford_pets", **start)
    seen = "warning: this checkpoint was trained on 6 of the 6 test images, without their masks, as extra images"
    assert read(tmp_path / "f", "transfer.json")["notes"] == [f"{seen}; leave them out of extra_dataset_dir"]
    assert summarize(tmp_path / "f" / "model.pt")[-1] == (
        "started from: simclr_pretrain of voc and oxford_pets (5 and 8 cases without masks)"
    )
    masks = tmp_path / "mine" / "masks"
    for path in sorted((tmp_path / "pets" / "images").iterdir()):
        with Image.open(path) as image:
            save(tmp_path / "mine" / "images" / f"my_{path.stem}.png", np.asarray(image))
        save(masks / f"my_{path.stem}.png", np.eye(20, 30, dtype=np.uint8))
    finetune(tmp_path / "g", dataset_dir=str(tmp_path / "mine"), **start)
    assert read(tmp_path / "g", "transfer.json")["notes"] == [
        f"{seen}: the same pixels, in the data set oxford_pets; leave them out of one of the two"
    ]


@pytest.mark.parametrize("earlier", [False, True])
def test_an_exif_orientation_hides_no_image(earlier, tmp_path):
    """Pretraining turns images as viewers show them, fine-tuning takes the pixels that the masks lie on."""
    for number in range(12):
        image = Image.fromarray(noise((20, 30), seed=number))
        image.getexif()[ExifTags.Base.Orientation] = 6
        (tmp_path / "set" / "images").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "set" / "images" / f"{number}.jpg", exif=image.getexif())
        save(tmp_path / "set" / "masks" / f"{number}.png", np.eye(20, 30, dtype=np.uint8))
    shutil.copytree(tmp_path / "set" / "images", tmp_path / "copy")
    run("simclr_pretrain", tmp_path / "p", dataset_dir=str(tmp_path / "copy"), max_epochs=1, validation_fraction=0)
    weights = tmp_path / "p" / "model.pt"
    content = torch.load(weights, weights_only=True)
    assert len(content["provenance"]["contents"]) == 24
    if earlier:  # which held the images as they are shown, alone
        content["provenance"]["contents"] = sorted(read_images(tmp_path / "copy"))
        torch.save(content, weights)
    start = {"checkpoint": str(weights), "init": "encoder", "label_count": 4, "max_epochs": 1}
    finetune(tmp_path / "f", dataset_dir=str(tmp_path / "set"), **start)
    assert read(tmp_path / "f", "transfer.json")["notes"] == [
        "warning: this checkpoint was trained on 8 of the 8 test images, without their masks: the same pixels, in the "
        "data set copy; leave them out of one of the two"
    ]


@pytest.mark.parametrize("kinds", [("color", "gray"), ("gray", "color")])
def test_gray_images_are_known_when_the_other_training_read_them_as_color(kinds, tmp_path):
    for number in range(12):
        save(tmp_path / "set" / "images" / f"{number}.png", noise((20, 30), channels=1, seed=number))
        save(tmp_path / "set" / "masks" / f"{number}.png", np.eye(20, 30, dtype=np.uint8))
    shutil.copytree(tmp_path / "set" / "images", tmp_path / "copy")
    knobs = {"dataset_dir": str(tmp_path / "copy"), "image_kind": kinds[0], "validation_fraction": 0, "max_epochs": 1}
    run("simclr_pretrain", tmp_path / "p", **knobs)
    weights = tmp_path / "p" / "model.pt"
    assert len(checkpoint.read_model(weights)["provenance"]["contents"]) == 12
    start = {"checkpoint": str(weights), "init": "encoder", "label_count": 4, "max_epochs": 1, "image_kind": kinds[1]}
    finetune(tmp_path / "f", dataset_dir=str(tmp_path / "set"), **start)
    assert (
        "warning: this checkpoint was trained on 8 of the 8 test images, without their masks: the same pixels, in the "
        "data set copy; leave them out of one of the two"
    ) in read(tmp_path / "f", "transfer.json")["notes"]


def read_images(folder):
    """What images show, by hashes."""
    for path in folder.iterdir():
        with Image.open(path) as image:
            yield content_hash(np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1))
