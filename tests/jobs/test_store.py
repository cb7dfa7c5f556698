"""Jobs whose volumes lie preprocessed on disk: the same bits as from memory, made once, and refused where they must."""

import csv
import json

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.jobs import holding
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.volume_sets import BUNDLES, TINY

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
        {"recipe": "strong", "plan": "none", "num_workers": 1, "intensity": "zscore"},
    ],
)
def test_a_finetuning_from_the_store_is_that_from_memory(options, data, tmp_path, on_disk):
    memory = run("genesis_finetune", tmp_path / "m", data, **FINETUNE, **options, store="memory")
    store = tmp_path / "store"
    stored = run("genesis_finetune", tmp_path / "s", data, **FINETUNE, **options, store=str(store))
    assert_same(memory, stored)
    labels = json.loads((stored / "labels.json").read_text())
    held = len(labels["cases"]) + len(json.loads((stored / "split.json").read_text())["validation"])
    assert len([*(store / "images").iterdir()]) == len([*(store / "labels").iterdir()]) == held
    log = (stored / "log.txt").read_text()
    assert f"{held} volumes are held in the store {store}" in log and f"{held} were made now" in log
