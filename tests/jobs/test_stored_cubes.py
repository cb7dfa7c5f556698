"""Pretraining on a cube store: whom the split of the data set tests, and who validates, does not train."""

import json
import logging

import pytest

from segxfer3d.augment.cubes import CropRule
from segxfer3d.data.cubes.write import write_store
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.split import by_patient
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, TINY, refused, write_dataset

pytestmark = MARKS
QUICK = {**TINY, "max_epochs": 1, "steps_per_epoch": 1, "validation_interval": 1}
NEW = ("data", "listed", "bad")  # what stores of earlier versions do not say


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Nine labeled patients, one of whom is too flat for a cube, and one without a label."""
    root = write_dataset(tmp_path_factory.mktemp("stored") / "set", patients=9)
    write_nifti(root / "imagesTs" / "p9.nii.gz", ct((20, 18, 12), 9), AFFINE)
    for folder in ("imagesTr", "labelsTr"):
        flat = ct((20, 18, 5), 3) if folder == "imagesTr" else (ct((20, 18, 5), 3) > 1000).astype("uint8")
        write_nifti(root / folder / "p3.nii.gz", flat, AFFINE)
    return root


@pytest.fixture(scope="module")
def store(data):
    case_set = find_cases(data, Request())
    report = write_store(
        data.parent / "cubes", case_set.cases, preprocessing=VolumePreprocessing(), size=tuple(TINY["patch_size"]),
        rule=CropRule(border=(1, 1, 1), tissue=2.0), cubes_per_volume=3, data=case_set.name,
    )  # fmt: skip
    assert list(report.empty) == ["p3"]
    return data.parent / "cubes"


def earlier(store, folder):
    """The store as an earlier version wrote it."""
    folder.mkdir()
    for path in store.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    index = json.loads((folder / "store.json").read_text())
    for case in index["cases"]:
        del case["content"]
    (folder / "store.json").write_text(json.dumps({key: index[key] for key in index if key not in NEW}))
    return folder


def pretrained(folder, store, **knobs):
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(folder), dataset_dir=str(store), **{**QUICK, **knobs})
    split = folder / "split.json"
    model = checkpoint.read_model(folder / "model.pt")
    return json.loads(split.read_text()) if split.is_file() else None, model["provenance"]


def test_the_split_is_that_of_the_data_set(data, store, tmp_path):
    split, provenance = pretrained(tmp_path / "run", store)
    cases = find_cases(data, Request()).cases
    assert split == by_patient(cases, labels=False).as_dict()
    assert len(split["test"]) == 2
    assert set(split["pretrain"]) == {f"p{i}" for i in range(10)} - {*split["test"], *split["validation"]}
    assert provenance["patients"] == sorted(set(split["pretrain"]) - {"p3"})
    assert (provenance["data"], provenance["store"]) == ("set", "cubes")
    assert (provenance["cases"], provenance["cubes"]) == (len(provenance["patients"]), 3 * len(provenance["patients"]))
    metrics = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert metrics["validation_loss"] > 0


@pytest.mark.parametrize(
    ("knobs", "test", "learned"),
    [
        ({"pretrain_fraction": 0.25}, 2, 2 + 1),  # who has no label pretrains, too
        ({"fold": 1, "folds": 3}, 3, None),
    ],
)
def test_options_of_the_split_hold(knobs, test, learned, store, tmp_path):
    split, provenance = pretrained(tmp_path / "run", store, **knobs)
    assert len(split["test"]) == test
    assert learned is None or len(split["pretrain"]) == learned
    assert provenance["patients"] == sorted(set(split["pretrain"]) - {"p3"})
    assert not set(split["pretrain"]) & {*split["test"], *split["validation"]}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"window_low": -160.0, "window_high": 240.0},
            "-160 and 240: intensities have the window -1000 to 1000; expected none beside a cube store, ",
        ),
        ({"spacing": [2.0, 2.0, 2.5]}, "spacing 2 2 2.5: expected none beside a cube store, .*cubes was cut"),
        ({"intensity": "percentile"}, r"intensity percentile: expected none beside a .*with its own \(window\)"),
    ],
)
def test_another_preprocessing_than_the_stores_is_refused(store, tmp_path, knobs, message):
    refused("genesis_pretrain", tmp_path, message, **QUICK, dataset_dir=str(store), **knobs)


def test_a_split_file_holds(store, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"train": ["p0", "p3"], "validation": ["p1"], "test": ["p2"]}))
    split, provenance = pretrained(tmp_path / "mine", store, split_file=str(tmp_path / "mine.json"))
    assert split["pretrain"] == ["p0", "p3", "p9"]
    assert provenance["patients"] == ["p0", "p9"]
    (tmp_path / "lost.json").write_text(json.dumps({"train": ["p0", "q"], "test": ["p2"]}))
    knobs = {**QUICK, "dataset_dir": str(store), "split_file": str(tmp_path / "lost.json")}
    refused("genesis_pretrain", tmp_path, "no case or patient is called so: q", **knobs)
    (tmp_path / "flat.json").write_text(json.dumps({"train": ["p3"], "pretrain": ["p3"], "test": ["p2"]}))
    knobs |= {"split_file": str(tmp_path / "flat.json"), "validation_fraction": 0.0}
    refused("genesis_pretrain", tmp_path, r"cubes: no cubes of the 1 volumes that pretrain", **knobs)


def test_a_store_that_does_not_say_who_has_labels_trains_whole_and_takes_no_split(store, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    old = earlier(store, tmp_path / "old")
    split, provenance = pretrained(tmp_path / "whole", old)
    assert split is None
    assert provenance["patients"] == [f"p{i}" for i in range(10) if i != 3]
    assert (provenance["data"], "store" in provenance) == ("old", False)
    assert "does not say who has labels, so the patients of all its cubes pretrain" in caplog.text
    for knobs in ({"pretrain_fraction": 0.25}, {"test_fraction": 0.5}, {"fold": 0, "folds": 3}):
        message = f"{next(iter(knobs))}: the cube store .*old was written before stores said who has labels"
        refused("genesis_pretrain", tmp_path, message, **{**QUICK, "dataset_dir": str(old), **knobs})


def test_a_finetuning_warns_of_what_an_earlier_store_may_have_seen(data, store, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    start = {**QUICK, "dataset_dir": str(data), "init": "encoder", "label_count": 1, "overlap": 0.0}
    for name, place in (("new", store), ("old", earlier(store, tmp_path / "old"))):
        pretrained(tmp_path / f"pre-{name}", place)
        caplog.clear()
        weights = str(tmp_path / f"pre-{name}" / "model.pt")
        run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / name), checkpoint=weights, **start)
        warned = "of the 2 test patients, without their masks, if the same names are the same patients: its cube store"
        assert (warned in caplog.text) == (name == "old")
        assert ("this checkpoint was trained on" in caplog.text) == (name == "old")
