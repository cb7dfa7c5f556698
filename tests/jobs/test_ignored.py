"""Voxels that a data set says to ignore teach a fine-tuning on volumes nothing: whatever their labels were, it is the
same training."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segxfer3d.augment.paper_patches import PaperPatches
from segxfer3d.augment.patches import TrainingPatches
from segxfer3d.jobs import holding
from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.data.volumes import ct, write_nifti
from tests.jobs.volume_sets import AFFINE, BUNDLES, MARKS, SHAPE, TINY, label

pytestmark = MARKS
STRONG = {"recipe": "strong", "plan": "none", "network": "plain_unet", "patch_size": [16, 16, 8], "range_test": True}
RECIPES = {
    "paper": {"recipe": "paper", "plan": "none"},
    "strong": STRONG,  # softmax, cross-entropy, every level of the decoder, at a rate that a range test found
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five CTs whose upper half nobody has labeled."""
    root = tmp_path_factory.mktemp("ignored") / "set"
    known = label()
    known[12:16, 5:9, 2:8] = 2
    known[:, :, SHAPE[2] // 2 :] = 3
    for i in range(5):
        image = ct(SHAPE, i) // 8 + 400 * (known == 1) + 800 * (known == 2)
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", image.astype(np.int16), AFFINE)
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", known, AFFINE)
    labels = {"background": 0, "tumor": 1, "cyst": 2, "ignore": 3}
    (root / "dataset.json").write_text(json.dumps({"labels": labels, "modality": {"0": "CT"}}))
    return root


def change_labels(patch, where):
    """The patches of both recipes, with foreground wherever ``where`` says, given what counts; how many there were."""
    seen = SimpleNamespace(changed=0, kept=0)

    def changing(name, original):
        def call(self, *args):
            item = original(self, *args)
            there = where(item["valid"] != 0)
            seen.changed, seen.kept = seen.changed + int(there.sum()), seen.kept + int((~there).sum())
            item["label"] = torch.where(there, torch.ones_like(item["label"]), item["label"])
            return item

        return call

    for patches in (PaperPatches, TrainingPatches):
        patch.setattr(patches, "__call__", changing(patches, patches.__call__))
    return seen


def trained(data, folder, **options):
    """Tensors of the model, and the losses of its epochs."""
    knobs = {**TINY, "init": "random", "keep": "last", "dataset_dir": str(data), **options}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(folder), **knobs)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return checkpoint.read_model(folder / "model.pt")["state_dict"], [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("place", ["memory", "store"])
@pytest.mark.parametrize("recipe", ["paper", pytest.param("strong", marks=pytest.mark.slow)])
def test_labels_under_ignored_voxels_change_nothing(recipe, place, data, tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "IN_MEMORY", 0)
    options = {**RECIPES[recipe], "store": place if place == "memory" else str(tmp_path / "store")}
    tensors, losses = trained(data, tmp_path / "as-they-are", **options)
    with monkeypatch.context() as patch:
        seen = change_labels(patch, torch.logical_not)
        others, other_losses = trained(data, tmp_path / "changed", **options)
    assert min(seen.changed, seen.kept) > 1000
    assert losses == other_losses
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    with monkeypatch.context() as patch:
        change_labels(patch, lambda valid: valid)  # those of voxels that count do
        assert trained(data, tmp_path / "control", **options)[1] != losses
