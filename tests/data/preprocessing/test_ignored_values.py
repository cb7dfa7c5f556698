"""Voxels that nnU-Net's label "ignore" marks neither train nor count."""

import numpy as np
import pytest
import torch

from segxfer3d.augment.paper_patches import PaperPatches
from segxfer3d.augment.patches import training_patches
from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.planning import take_fingerprint
from segxfer3d.data.preprocessing.class_masks import stacked_masks
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation.tables import CaseTable
from tests.data.volumes import ct, write_nifti

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def values():
    """1 in a block, 3 (ignored) in a plane, 2 in a voxel."""
    label = np.zeros((9, 8, 7), np.uint8)
    label[2:6, 1:4, 3:], label[0], label[6, 5, 2] = 1, 3, 2
    return label


@pytest.fixture
def case_set(tmp_path):
    """One case."""
    image, label = ct(), write_nifti(tmp_path / "l.nii.gz", values(), LPS)
    image[0] = 1500  # which must not count among the foreground's intensities
    case = Case("a", write_nifti(tmp_path / "i.nii.gz", image, LPS), label)
    return CaseSet(tmp_path, "x", 3, (case,), {1: "a", 2: "b"}, LabelRule((1, 2), ignore=(3,)), modality="CT")


@pytest.mark.parametrize("preprocessing", [VolumePreprocessing(), VolumePreprocessing((1.0, 1.0, 2.0))])
def test_held(case_set, preprocessing):
    (item,) = preprocessing.hold(case_set.cases, case_set, labels=True, progress=False)
    turned = values()[::-1, ::-1]
    np.testing.assert_array_equal(item["label"].numpy(), [turned == 1, turned == 2])
    np.testing.assert_array_equal(item["valid"].numpy(), turned[None] != 3)
    assert {type(part) for part in item.values()} == {torch.Tensor}


@pytest.mark.parametrize("patches", [training_patches((9, 8, 7), foreground_share=0), PaperPatches((9, 8, 7), 0)])
def test_patches_have_it(case_set, patches):
    (item,) = VolumePreprocessing().hold(case_set.cases, case_set, labels=True, progress=False)
    patch = patches(item)
    assert patch["valid"].shape == (1, 9, 8, 7)
    assert patch["valid"].sum() == 8 * 8 * 7


def test_measures_leave_it_out(case_set):
    dataset = WholeCases(case_set.cases, case_set, VolumePreprocessing())
    item = dataset[0]
    np.testing.assert_array_equal(item["label"].valid, values() != 3)
    table = CaseTable(dataset, case_set.classes)
    logits = (stacked_masks(item["label"]) * 2.0 - 1).flip(1, 2) * 9
    logits[0, -1] = 9.0  # wrong, on the network's grid, where it is ignored
    classes = table.measured_item(item, logits).classes
    np.testing.assert_array_equal(classes.numpy(), np.where(values() == 3, 0, values()))


def test_plans_do_not_look_at_it(case_set):
    inside = take_fingerprint(case_set.cases, case_set).foreground
    shown = ct()[np.isin(values(), (1, 2))]
    assert inside.mean == pytest.approx(
        np.sort(shown)[((np.arange(1000) + 0.5) / 1000 * shown.size).astype(int)].mean()
    )


def test_every_patch_shows_what_counts(tmp_path):
    label = np.full((40, 40, 40), 3, np.uint8)
    label[3:6, 30:34, 20:22] = 0
    case = Case("a", write_nifti(tmp_path / "i.nii.gz", ct(label.shape)), write_nifti(tmp_path / "l.nii.gz", label))
    found = CaseSet(tmp_path, "x", 3, (case,), {1: "a", 2: "b"}, LabelRule((1, 2), ignore=(3,)), modality="CT")
    (item,) = VolumePreprocessing().hold(found.cases, found, labels=True, progress=False)
    for share in (0.0, 1.0):  # no class to center on in either case
        for patches in (training_patches((6, 6, 6), foreground_share=share), PaperPatches((6, 6, 6), share)):
            patches.set_random_state(seed=0)
            assert all(patches(item)["valid"].any() for _ in range(20))
