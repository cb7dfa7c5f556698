"""A small data set of volumes that is in order, and what refuses it when it is not."""

import re
from pathlib import Path

import numpy as np
import pytest

from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.data.volumes import ct, write_nifti

BUNDLES = Path(__file__).parents[2] / "bundles"
SHAPE = (20, 18, 12)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
TINY = {
    "width": 2, "patch_size": [16, 16, 8], "max_epochs": 2, "steps_per_epoch": 2, "batch_size": 2, "progress": False,
    "device": "cpu",
}  # fmt: skip
MARKS = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def label(shape=SHAPE):
    array = np.zeros(shape, np.uint8)
    array[4:10, 4:10, 3:8] = 1
    return array


def write_dataset(root, patients=5):
    for i in range(patients):
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", ct(SHAPE, i), AFFINE)
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label(), AFFINE)
    return root


def image(root, name="p1"):
    return root / "imagesTr" / f"{name}.nii.gz"


def labels(root, name="p1"):
    return root / "labelsTr" / f"{name}.nii.gz"


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def refused(bundle, folder, message, **knobs):
    """Run a bundle that has to refuse its input; everything below ``folder`` has to stay as it is."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as caught:
        run_bundle(BUNDLES / f"{bundle}.json", output_dir=str(folder / "run"), **knobs)
    text = str(caught.value)
    assert re.search(message, text), text
    assert text.count("\n") < 5, text
    assert sorted(folder.rglob("*")) == before
