"""A pretraining on the masks of several classes has an output for each of them, and its parts can be transferred."""

import json

import numpy as np
import pytest

from segxfer3d.weights import checkpoint
from tests.data.image_files import noise, save, save_paletted
from tests.jobs.image_runs import finetune, lines, read, run
from tests.jobs.test_volumes import pytestmark

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    """Pascal VOC's layout: every second image shows a cat, the others a horse."""
    root = tmp_path_factory.mktemp("data") / "VOC2012"
    names = [f"{number:02}" for number in range(12)]
    for number, name in enumerate(names):
        save(root / "JPEGImages" / f"{name}.jpg", noise((20, 30), seed=number))
        mask = np.zeros((20, 30), np.uint8)
        mask[4:12, 4:20] = (8, 13)[number % 2]
        save_paletted(root / "SegmentationClass" / f"{name}.png", mask)
    for part, listed in (("train", names[:8]), ("val", names[8:])):
        path = root / "ImageSets" / "Segmentation" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in listed))
    return root


@pytest.fixture(scope="module")
def eyes(tmp_path_factory):
    """Gray images whose ``dataset.json`` declares three classes."""
    root = tmp_path_factory.mktemp("data") / "eyes"
    for number in range(12):
        mask = np.zeros((24, 24), np.uint8)
        mask[4:20, 4:20], mask[8:16, 8:16], mask[10:13, 10:13] = 1, 2, 3
        save(root / "images" / f"{number:02}.png", noise(mask.shape, channels=1, seed=number))
        save(root / "masks" / f"{number:02}.png", mask)
    labels = {"background": 0, "disc": 1, "cup": 2, "spot": 3}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def test_several_classes_of_voc(voc, tmp_path):
    data = {"dataset": "voc", "dataset_dir": str(voc)}
    run("segmentation_pretrain", tmp_path / "p", **data, target="cat,horse", validation_fraction=0.25)
    model = checkpoint.read_model(tmp_path / "p" / "model.pt")
    assert model["network"]["arguments"]["out_channels"] == 2
    assert model["provenance"]["target"] == "cat,horse"
    assert "validation_loss" in lines(tmp_path / "p")[-1]
    assert (tmp_path / "p" / "pictures" / "epoch-00002.png").is_file()
    # fine-tuning on two classes has an output for the background too; on one it has one
    arms = (("encoder", "cat,horse", 3), ("encoder+decoder", "cat,horse", 3), ("whole", "cat", 1))
    for init, target, outputs in arms:
        folder = tmp_path / f"{init} {target}"
        finetune(folder, **data, target=target, init=init, checkpoint=str(tmp_path / "p" / "model.pt"))
        loaded = read(folder, "transfer.json")["loaded"]
        assert {name.split(".")[0] for name in loaded} == {"encoder"} | ({"decoder"} if init != "encoder" else set())
        tuned = checkpoint.read_model(folder / "model.pt")
        assert tuned["network"]["arguments"]["out_channels"] == outputs


@pytest.mark.parametrize(("target", "outputs"), [("", 3), ("disc,cup", 2), ("cup", 1)])
def test_declared_classes_of_a_folder_and_some_of_them(target, outputs, eyes, tmp_path):
    run("segmentation_pretrain", tmp_path / "p", dataset_dir=str(eyes), target=target, max_epochs=1)
    model = checkpoint.read_model(tmp_path / "p" / "model.pt")
    assert model["network"]["arguments"]["out_channels"] == outputs
    assert len(model["state_dict"]["head.weight"]) == outputs
