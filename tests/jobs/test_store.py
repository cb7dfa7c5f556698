"""Jobs whose volumes lie preprocessed on disk: the same bits as from memory, made once, and refused where they must."""

import csv
import json
import logging
import shutil

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d import files
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.jobs import holding
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.volume_sets import BUNDLES, TINY
from tests.training.test_resume import stop_at

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
AFFINE = np.diag([-1.2, 1.1, 2.0, 1.0])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten small CTs with two classes, one of which some lack."""
    root = tmp_path_factory.mktemp("store-data")
    rng = np.random.default_rng(5)
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir()
    for number in range(10):
        shape = (22 + number, 24, 18)
        label = np.zeros(shape, dtype=np.uint8)
        label[4:9, 5:12, 6:11] = 1
        if number % 3:
            label[10:14, 5:9, 3:8] = 2
        image = rng.normal(-600, 80, shape) + 500 * (label > 0)
        nibabel.save(nibabel.Nifti1Image(image.astype(np.int16), AFFINE), root / "imagesTr" / f"c{number}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, AFFINE), root / "labelsTr" / f"c{number}.nii.gz")
    about = {"labels": {"0": "background", "1": "a", "2": "b"}, "modality": {"0": "CT"}}
    pairs = [{"image": f"imagesTr/c{n}.nii.gz", "label": f"labelsTr/c{n}.nii.gz"} for n in range(10)]
    (root / "dataset.json").write_text(json.dumps({**about, "training": pairs, "test": []}))
    return root


@pytest.fixture
def on_disk(monkeypatch):
    """No volume is few enough for memory."""
    monkeypatch.setattr(holding, "IN_MEMORY", 0)


def run(name, folder, data, **options):
    options = {**TINY, "dataset_dir": str(data), "output_dir": str(folder), **options}
    run_bundle(BUNDLES / f"{name}.json", **options)
    return folder


def left(folder):
    """Tensors of the model, and the rows of its cases."""
    rows = []
    if (folder / "cases.csv").is_file():
        with (folder / "cases.csv").open() as file:
            rows = list(csv.DictReader(file))
    return checkpoint.read_model(folder / "model.pt")["state_dict"], rows


def assert_same(one, other):
    (tensors, rows), (others, other_rows) = left(one), left(other)
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    assert rows == other_rows


FINETUNE = {"init": "random", "label_fraction": 0.9, "validation_fraction": 0.2, "test_fraction": 0.3}


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "paper", "plan": "none"},
        {"recipe": "paper", "plan": "none", "spacing": [1.5, 1.5, 2.0], "intensity": "percentile"},
        pytest.param(
            {"recipe": "strong", "plan": "none", "num_workers": 1, "intensity": "zscore"}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_finetuning_from_the_store_is_that_from_memory(options, data, tmp_path, on_disk, caplog):
    caplog.set_level(logging.INFO)
    memory = run("genesis_finetune", tmp_path / "m", data, **FINETUNE, **options, store="memory")
    store = tmp_path / "store"
    stored = run("genesis_finetune", tmp_path / "s", data, **FINETUNE, **options, store=str(store))
    assert_same(memory, stored)
    labels = json.loads((stored / "labels.json").read_text())
    held = len(labels["cases"]) + len(json.loads((stored / "split.json").read_text())["validation"])
    assert len([*(store / "images").iterdir()]) == len([*(store / "labels").iterdir()]) == held
    said = caplog.text
    assert f"{held} volumes are held in the store {store}" in said
    assert f"{held} were made now" in said


def test_several_channels_from_the_store_are_those_from_memory(data, tmp_path, on_disk, caplog):
    caplog.set_level(logging.INFO)
    root = tmp_path / "two"
    shutil.copytree(data, root)
    for path in (root / "imagesTr").iterdir():
        image = nibabel.load(path)
        first = np.asarray(image.dataobj)
        both = np.stack([first, np.random.default_rng(len(path.name)).integers(0, 900, first.shape)], axis=-1)
        nibabel.save(nibabel.Nifti1Image(both.astype(np.int16), image.affine), path)
    about = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**about, "modality": {"0": "CT", "1": "T1"}}))
    options = {**FINETUNE, "recipe": "paper", "plan": "none", "intensity": ["window", "percentile"]}
    memory = run("genesis_finetune", tmp_path / "m", root, **options, store="memory")
    store = tmp_path / "store"
    made = run("genesis_finetune", tmp_path / "s", root, **options, store=str(store))
    before = entries(store)
    caplog.clear()
    again = run("genesis_finetune", tmp_path / "t", root, **options, store=str(store))
    assert "0 were made now" in caplog.text
    assert entries(store) == before
    assert_same(memory, made)
    assert_same(memory, again)
    asked = {key: value for key, value in FINETUNE.items() if key != "init"} | {"part": "validation", "progress": False}
    for name, place in (("memory", "memory"), ("store", str(store))):
        out, model = str(tmp_path / f"e-{name}"), str(made / "model.pt")
        run_bundle(
            BUNDLES / "evaluate.json", dataset_dir=str(root), output_dir=out, checkpoint=model, store=place, **asked
        )
    tables = [(tmp_path / name / "cases.csv").read_text() for name in ("e-memory", "e-store")]
    assert tables[0] == tables[1]
    assert "2 channels (CT, T1)" in caplog.text


@pytest.fixture(scope="module")
def finetuned(data, tmp_path_factory):
    """A model, and the store that its training has left."""
    root = tmp_path_factory.mktemp("finetuned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "IN_MEMORY", 0)
        run("genesis_finetune", root / "run", data, **FINETUNE, recipe="paper", plan="none", store=str(root / "store"))
    return root / "run", root / "store"


def entries(store):
    """Every file of the entries, and when it was written."""
    arrays = [path for kind in ("images", "labels") for path in (store / kind).rglob("*.npy")]
    return {path: path.stat().st_mtime_ns for path in arrays}


def test_another_training_makes_nothing(finetuned, data, tmp_path, on_disk, caplog):
    caplog.set_level(logging.INFO)
    first, store = finetuned
    before = entries(store)
    again = run("genesis_finetune", tmp_path / "b", data, **FINETUNE, recipe="paper", plan="none", store=str(store))
    assert entries(store) == before
    assert "0 were made now" in caplog.text
    assert_same(first, again)


def test_a_run_whose_store_is_gone_resumes_bit_for_bit(finetuned, data, tmp_path, on_disk, monkeypatch):
    store = tmp_path / "a store ü 体"
    options = {**FINETUNE, "recipe": "paper", "plan": "none", "store": str(store)}
    with monkeypatch.context() as patch:
        stop_at(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run("genesis_finetune", tmp_path / "r", data, **options)
    shutil.rmtree(store)
    run("genesis_finetune", tmp_path / "r", data, **options, resume=True)
    assert_same(finetuned[0], tmp_path / "r")
    assert entries(store)


def test_evaluation_takes_what_is_in_the_store(finetuned, data, tmp_path, monkeypatch):
    folder, store = finetuned
    options = {**FINETUNE, "checkpoint": str(folder / "model.pt"), "part": "validation", "progress": False}
    del options["init"]
    for name, place in (("memory", "memory"), ("store", str(store))):
        if name == "store":
            monkeypatch.setattr(VolumePreprocessing, "read", lambda *_, **__: pytest.fail("a file was read"))
        out = str(tmp_path / name)
        run_bundle(BUNDLES / "evaluate.json", dataset_dir=str(data), output_dir=out, store=place, **options)
    rows = [(tmp_path / name / "cases.csv").read_text() for name in ("memory", "store")]
    assert rows[0] == rows[1]
    assert len(rows[0].splitlines()) == 1 + 2  # two cases


@pytest.mark.parametrize("what", ["is being cleared", "is damaged", "is not there"])
def test_evaluation_does_without_a_store_that_cannot_be_used(what, finetuned, data, tmp_path):
    folder, store = finetuned[0], shutil.copytree(finetuned[1], tmp_path / "store")
    lock = files.Lock.take(store / "in-use.lock") if what == "is being cleared" else None
    if what == "is damaged":
        for path in (*store.glob("images/*/about.json"), *store.glob("labels/*/values.npy")):
            path.write_bytes(b"{}")
    if what == "is not there":
        shutil.rmtree(store)
    options = {**FINETUNE, "checkpoint": str(folder / "model.pt"), "part": "validation", "progress": False}
    del options["init"]
    out = tmp_path / "out"
    run_bundle(BUNDLES / "evaluate.json", dataset_dir=str(data), output_dir=str(out), store=str(store), **options)
    assert len((out / "cases.csv").read_text().splitlines()) == 1 + 2
    if lock is not None:
        lock.release()


def test_a_pretraining_from_the_store_is_that_from_memory(data, tmp_path, on_disk, caplog):
    caplog.set_level(logging.INFO)
    store = tmp_path / "store"
    memory = run("genesis_pretrain", tmp_path / "m", data, store="memory")
    stored = run("genesis_pretrain", tmp_path / "s", data, store=str(store))
    assert_same(memory, stored)
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (memory, stored)]
    losses = [[json.loads(line)["validation_loss"] for line in each] for each in lines]
    assert losses[0] == losses[1]
    assert len([*(store / "images").iterdir()]) > 4
    assert not (store / "labels").exists()


def test_another_preprocessing_makes_its_own(finetuned, data, tmp_path, on_disk):
    store = shutil.copytree(finetuned[1], tmp_path / "store")
    before = entries(store)
    options = {**FINETUNE, "recipe": "paper", "plan": "none", "max_epochs": 1, "window_low": -900.0}
    run("genesis_finetune", tmp_path / "w", data, **options, store=str(store))
    after = entries(store)
    assert before.items() < after.items()
    assert len(after) == 2 * len(before)


def case_of(array):
    """The case that an array of the store is of."""
    return json.loads((array.parent / "about.json").read_text(encoding="utf-8"))["case"]


def test_what_is_damaged_is_named_and_made_again(finetuned, data, tmp_path, on_disk, caplog):
    caplog.set_level(logging.INFO)
    first, store = finetuned
    images = sorted((store / "images").glob("*/image.npy"))
    content = images[0].read_bytes()
    images[0].write_bytes(content[:-7] + b"damaged")
    whose = case_of(images[0])
    other = next(path for path in sorted((store / "labels").glob("*/index.npy")) if case_of(path) != whose)
    kept = other.read_bytes()
    other.write_bytes(kept[:40])
    again = run("genesis_finetune", tmp_path / "d", data, **FINETUNE, recipe="paper", plan="none", store=str(store))
    assert caplog.text.count("was damaged, and was made again") == 2
    assert images[0].read_bytes() == content
    assert other.read_bytes() == kept
    assert_same(first, again)
