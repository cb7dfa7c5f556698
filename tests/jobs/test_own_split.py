"""A split that the user says, through the jobs: who trains, who is tested, and what is refused before any work."""

import csv
import json

import pytest

from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.run.bundle import run_bundle
from tests.jobs import image_runs
from tests.jobs.volume_sets import BUNDLES, MARKS, TINY, refused, write_dataset

pytestmark = MARKS
QUICK = {**TINY, "max_epochs": 1, "steps_per_epoch": 1, "init": "random", "overlap": 0.0}
SPLIT = {"train": ["p0", "p3"], "validation": ["p1"], "test": ["p4"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=6)


def write(folder, content, name="mine.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def run(bundle, folder, data, **knobs):
    run_bundle(BUNDLES / f"{bundle}.json", output_dir=str(folder), dataset_dir=str(data), **{**QUICK, **knobs})
    return json.loads((folder / "split.json").read_text())


def measured(folder):
    with (folder / "cases.csv").open() as file:
        return [row["case"] for row in csv.DictReader(file)]


def test_a_split_file_says_who_trains_who_validates_and_who_is_tested(data, tmp_path):
    file = write(tmp_path, SPLIT)
    split = run("genesis_finetune", tmp_path / "run", data, split_file=file)
    assert {name: split[name] for name in SPLIT} == SPLIT
    assert split["pretrain"] == SPLIT["train"]
    assert measured(tmp_path / "run") == ["p4"]
    labels = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert labels["cases"] == ["p0", "p3"]
    assert split["unit"] == "patient"
    knobs = {"checkpoint": str(tmp_path / "run" / "model.pt"), "dataset_dir": str(data), "device": "cpu"}
    run_bundle(
        BUNDLES / "evaluate.json", output_dir=str(tmp_path / "again"), split_file=str(tmp_path / "run" / "split.json"),
        progress=False, overlap=0.0, **knobs,
    )  # fmt: skip
    assert (tmp_path / "again" / "cases.csv").read_text() == (tmp_path / "run" / "cases.csv").read_text()


def test_a_fold_is_tested_and_pretraining_with_the_same_options_never_sees_it(data, tmp_path):
    knobs = {"fold": 1, "folds": 3, "validation_fraction": 0.2}
    tuned = run("genesis_finetune", tmp_path / "f", data, **knobs)
    assert (tuned["fold"], tuned["folds"]) == (1, 3)
    assert [len(tuned[part]) for part in ("train", "validation", "test")] == [3, 1, 2]
    assert measured(tmp_path / "f") == tuned["test"]
    before = {name: value for name, value in QUICK.items() if name not in ("init", "overlap")}
    run_bundle(
        BUNDLES / "genesis_pretrain.json", output_dir=str(tmp_path / "p"), dataset_dir=str(data), **before, **knobs
    )
    pretraining = json.loads((tmp_path / "p" / "split.json").read_text())
    assert {**pretraining, "pretrain": None} == {**tuned, "pretrain": None}
    assert pretraining["pretrain"] == tuned["train"]


def test_folds_of_nnunet(data, tmp_path):
    names = [f"p{i}" for i in range(6)]
    folds = [{"train": [n for n in names if n not in val], "val": val} for val in (names[:3], names[3:])]
    split = run("genesis_finetune", tmp_path / "run", data, split_file=write(tmp_path, folds), fold=1)
    assert split["test"] == ["p3", "p4", "p5"]
    assert sorted(split["train"] + split["validation"]) == ["p0", "p1", "p2"]
    assert (split["fold"], split["folds"]) == (1, 2)


@pytest.mark.parametrize(
    ("content", "knobs", "message"),
    [
        ({**SPLIT, "train": ["p0", "px"], "test": ["py"]}, {}, r"no case or patient is called so: px, py"),
        ({**SPLIT, "train": ["p0", "p4"]}, {}, r"in two parts: p4 \(train, test\)"),
        ({**SPLIT, "train": ["p0", "p0"]}, {}, r"named twice: p0 \(train\)"),
        (SPLIT, {"patient_pattern": "^p"}, r"patients in two parts: p \(train, validation, test\)"),
        (SPLIT, {"fold": 0}, r"fold 0: split_file .* has one split and no folds"),
        ({"folds": [["p0"], ["p1"]]}, {}, r"fold: which of the 2 folds"),
        ({"folds": [["p0"], ["p1"]]}, {"fold": 2}, r"fold: expected 0 to 1"),
        (SPLIT, {"test_fraction": 0.2}, r"test_fraction and split_file: expected one of them"),
        (SPLIT, {"pretrain_fraction": 0.2}, r"pretrain_fraction and split_file: expected one of them"),
        (None, {"fold": 5, "folds": 5}, r"fold: expected 0 to 4 \(of 5 folds\), got 5"),
        (None, {"folds": 5}, r"fold: which of 5 folds\? Expected 0 to 4; segxfer3d cross"),
        (None, {"fold": 0}, r"folds: how many\?"),
        (None, {"fold": 0, "folds": 7}, r"6 patients leave nobody in fold 6 of 7"),
        (None, {"fold": 0, "folds": 3, "test_fraction": 0.2}, r"test_fraction and fold: expected one of them"),
        (None, {"split_file": "/no/such.json"}, r"split_file /no/such.json: cannot be read"),
    ],
)
@pytest.mark.parametrize("bundle", ["genesis_finetune", "genesis_pretrain"])
def test_bad_splits_are_refused_before_any_work(data, tmp_path, bundle, content, knobs, message):
    if content is not None:
        knobs = {**knobs, "split_file": write(tmp_path, content)}
    refused(bundle, tmp_path, message, dataset_dir=str(data), device="cpu", progress=False, **knobs)


def test_names_are_checked_before_a_volume_is_read(tmp_path):
    root = write_dataset(tmp_path / "set", patients=3)
    (root / "imagesTr" / "p1.nii.gz").write_bytes(b"no volume")
    knobs = {"dataset_dir": str(root), "split_file": write(tmp_path, {"train": ["p0", "pz"], "test": ["p2"]})}
    refused("genesis_finetune", tmp_path, "is called so: pz", device="cpu", progress=False, **knobs)


def test_a_data_set_that_says_who_validates_has_no_folds(tmp_path):
    root = write_dataset(tmp_path / "set", patients=5)
    entries = [{"image": f"imagesTr/p{i}.nii.gz", "label": f"labelsTr/p{i}.nii.gz"} for i in range(5)]
    content = {"labels": {"1": "x"}, "modality": {"0": "CT"}, "training": entries[:4], "validation": entries[4:]}
    (root / "dataset.json").write_text(json.dumps(content))
    knobs = {"dataset_dir": str(root), "device": "cpu", "progress": False}
    refused("genesis_finetune", tmp_path, "has a validation part of its own", fold=0, folds=2, **knobs)
    split = run("genesis_finetune", tmp_path / "run", root)
    assert split["validation"] == ["p4"]
    assert len(split["test"]) == 1


def test_images_are_split_by_a_file_and_by_folds_too(shapes, tmp_path):
    folder = shapes
    names = [case.name for case in find_cases(folder, Request(dims=2, task="segmentation")).cases]
    content = {"train": names[:8], "test": names[8:12]}
    image_runs.finetune(
        tmp_path / "file", dataset_dir=str(folder), split_file=write(tmp_path, content), label_count=None,
        label_fraction=None,
    )  # fmt: skip
    split = image_runs.read(tmp_path / "file", "split.json")
    assert (split["unit"], split["train"], split["test"]) == ("case", names[:8], names[8:12])
    assert [row["case"] for row in image_runs.rows(tmp_path / "file")] == names[8:12]
    tested = []
    for fold in range(2):
        image_runs.finetune(tmp_path / f"{fold}", dataset_dir=str(folder), fold=fold, folds=2)
        split = image_runs.read(tmp_path / f"{fold}", "split.json")
        assert not set(split["train"]) & set(split["test"])
        tested += split["test"]
        assert len(image_runs.read(tmp_path / f"{fold}", "labels.json")["cases"]) == 4
    assert sorted(tested) == names
