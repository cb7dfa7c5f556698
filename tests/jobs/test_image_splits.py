"""Which images train and which are measured: fractions, counts, test parts, official splits."""

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from tests.data.image_files import noise, save, save_paletted
from tests.jobs.image_runs import finetune, lines, read, rows, run
from tests.jobs.test_volumes import pytestmark

__all__ = ["pytestmark"]


def test_what_pretrains_is_not_tested_on(shapes, tmp_path):
    knobs = {"dataset_dir": str(shapes), "pretrain_fraction": 0.4, "split_seed": 1, "max_epochs": 1}
    run("reconstruction_pretrain", tmp_path / "p", **knobs, validation_fraction=0)
    assert "validation_loss" not in lines(tmp_path / "p")[-1]
    provenance = checkpoint.read_model(tmp_path / "p" / "model.pt")["provenance"]
    for seed in (0, 7):
        finetune(tmp_path / f"f{seed}", **knobs, seed=seed, label_count=None, label_fraction=0.25)
        split = read(tmp_path / f"f{seed}", "split.json")
        assert split["pretrain"] == provenance["patients"]
        assert len(split["pretrain"]) == 12
        assert len(split["train"]) == 5  # rounded half up
        assert not set(split["pretrain"]) & {*split["train"], *split["test"]}
        assert len(rows(tmp_path / f"f{seed}")) == 13


def test_a_test_part_of_its_own_is_the_same_for_every_seed(shapes, tmp_path):
    knobs = {"dataset_dir": str(shapes), "pretrain_fraction": 0.4, "test_fraction": 0.5, "max_epochs": 1}
    for seed, count in ((0, 4), (7, 8)):
        finetune(tmp_path / f"f{seed}", **knobs, seed=seed, label_count=count)
    first, second = (read(tmp_path / f"f{seed}", "split.json") for seed in (0, 7))
    assert first["test"] == second["test"]
    assert (len(first["test"]), len(first["train"]), len(second["train"])) == (9, 4, 8)
    assert {row["case"] for row in rows(tmp_path / "f0")} == set(first["test"])
    for split in (first, second):
        assert len({*split["pretrain"], *split["train"], *split["test"]}) == 12 + len(split["train"]) + 9
    with pytest.raises(InputError, match="test_fraction and official_split"):
        finetune(tmp_path / "both", **{**knobs, "pretrain_fraction": 0.0}, official_split=True)


@pytest.mark.parametrize(("fraction", "count"), [(0.04, 1), (0.2, 6), (0.95, 29)])
def test_label_fractions(fraction, count, shapes, tmp_path):
    finetune(tmp_path / "run", dataset_dir=str(shapes), label_count=None, label_fraction=fraction, max_epochs=1)
    assert len(read(tmp_path / "run", "labels.json")["cases"]) == count
    assert len(rows(tmp_path / "run")) == 30 - count


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    """Pascal VOC's layout: four cats in the training part, three in validation, a person in each."""
    root = tmp_path_factory.mktemp("data") / "VOC2012"
    for part, number in (("train", 5), ("val", 4)):
        names = [f"{part}_{index}" for index in range(number)]
        for index, name in enumerate(names):
            save(root / "JPEGImages" / f"{name}.jpg", noise((20, 30), seed=index))
            mask = np.zeros((20, 30), np.uint8)
            mask[4:12, 4:20] = 15 if index == 0 else 8
            mask[12] = 255
            save_paletted(root / "SegmentationClass" / f"{name}.png", mask)
        listed = root / "ImageSets" / "Segmentation" / f"{part}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{name}\n" for name in names))
    return root


def test_the_official_split_of_a_named_data_set(voc, tmp_path):
    knobs = {"dataset": "voc", "dataset_dir": str(voc), "target": "cat", "official_split": True, "max_epochs": 1}
    run("segmentation_pretrain", tmp_path / "p", **knobs)
    provenance = checkpoint.read_model(tmp_path / "p" / "model.pt")["provenance"]
    assert (provenance["data"], provenance["target"]) == ("voc", "cat")
    assert provenance["patients"] == ["train_1", "train_2", "train_3", "train_4"]
    finetune(tmp_path / "f", **knobs, label_count=2)
    split = read(tmp_path / "f", "split.json")
    assert split["test"] == ["val_1", "val_2", "val_3"]
    assert len(split["train"]) == 2
    assert set(split["train"]) < set(provenance["patients"])
    assert checkpoint.read_model(tmp_path / "f" / "model.pt")["classes"] == {1: "cat"}
    run("classification_pretrain", tmp_path / "c", **{**knobs, "target": "cat,person"})
    with pytest.raises(InputError, match="no images for segmentation of car"):
        finetune(tmp_path / "none", **{**knobs, "target": "car"})


@pytest.mark.parametrize(("target", "said"), [("", "all targets"), ("cat", "target cat")])
def test_who_is_kept_apart_where_images_are_those_of_a_target(voc, target, said, tmp_path, caplog):
    caplog.set_level("INFO", "segxfer3d")
    knobs = {"dataset": "voc", "dataset_dir": str(voc), "max_epochs": 1, "pretrain_fraction": 0.4, "target": target}
    run("reconstruction_pretrain", tmp_path / "p", **knobs, validation_fraction=0)
    note = f"note: pretrain_fraction 0.4: drawn from the images of {said}; a fine-tuning with another --target"
    assert note in caplog.text
    if target:
        finetune(tmp_path / "f", **knobs, label_count=2)
        assert read(tmp_path / "f", "split.json")["pretrain"] == read(tmp_path / "p", "split.json")["pretrain"]
