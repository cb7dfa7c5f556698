"""Volumes that the check has read are not read again, and what resampling would make of them has to fit."""

import pickle

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.planning import take_fingerprint
from segxfer3d.data.preprocessing.class_masks import stacked_masks
from segxfer3d.data.preprocessing.labels import OneHotd
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, load_volume
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, write_nifti

PERMUTED = np.array([[0, 0, 2.5, -70], [-0.8, 0, 0, 30], [0, 1.5, 0, 5], [0, 0, 0, 1]])


@pytest.fixture
def case_set(tmp_path):
    """Two labeled cases, differently turned."""
    cases = []
    for name, affine in (("a", AFFINE), ("b", PERMUTED)):
        label = (ct(seed=2) > 0).astype(np.uint8) + (ct(seed=3) > 1000)
        image = write_nifti(tmp_path / f"{name}.nii.gz", ct(seed=ord(name)), affine)
        cases.append(Case(name, image, write_nifti(tmp_path / f"{name}_l.nii.gz", label.astype(np.uint8), affine), "p"))
    return CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "x", 2: "y"}, modality="CT")


def checked(case_set, limit=None):
    """What the check kept; the files are gone."""
    kept = KeptVolumes(limit)
    check(case_set, progress=False, keep=kept)
    for case in case_set.cases[: len(kept)]:
        case.image.unlink()
        case.label.unlink()
    return kept


@pytest.mark.parametrize("spacing", [None, (1.0, 2.0, 1.5)])
@pytest.mark.parametrize(
    "intensity", [("window",), ("percentile",), ("foreground", -500, 400, 20.0, 250.0), ("zscore",)]
)
def test_held_without_reading_again_and_bit_for_bit_as_the_transforms_make_it(case_set, intensity, spacing):
    preprocessing = VolumePreprocessing(spacing, (Scale(*intensity),))
    steps = Compose([preprocessing.training_transform(), OneHotd("label", case_set.parts)])
    expected = [steps({"image": case.image, "label": case.label}) for case in case_set.cases]
    kept = checked(case_set)
    held = preprocessing.hold(case_set.cases, case_set, labels=True, progress=False, kept=kept)
    for item, wanted in zip(held, expected, strict=True):
        for key in ("image", "label"):
            assert item[key].is_contiguous()
            assert torch.equal(item[key], wanted[key].as_tensor())
    assert len(kept) == 0


def test_whole_cases_and_plans_are_made_of_what_was_kept(case_set):
    wanted = [VolumePreprocessing().read(case, case_set, label=True) for case in case_set.cases]
    plan = take_fingerprint(case_set.cases, case_set)
    kept = checked(case_set)
    taken = take_fingerprint(case_set.cases, case_set, kept=kept)
    assert (taken.shapes, taken.spacings, taken.foreground) == (plan.shapes, plan.spacings, plan.foreground)
    for item, whole in zip(wanted, WholeCases(case_set.cases, case_set, VolumePreprocessing(), kept), strict=False):
        assert torch.equal(item["image"].as_tensor(), whole["image"].as_tensor())
        assert torch.equal(stacked_masks(item["label"]), stacked_masks(whole["label"]))
        assert torch.equal(item["image"].affine, whole["image"].affine)


def test_no_more_are_kept_than_there_is_room_for(case_set):
    size = load_volume(case_set.cases[0]).bytes
    assert size == 9 * 8 * 7 * (2 + 1)
    kept = KeptVolumes(1.5 * size)
    first, second = case_set.cases
    kept(first, load_volume(first))
    kept(second, load_volume(second))
    assert (len(kept), kept.room) == (1, 0.5 * size)
    assert kept.get(first) is kept.get(first)
    assert kept.take(first, label=False).image is not None
    assert (len(kept), kept.room) == (0, 1.5 * size)
    np.testing.assert_array_equal(kept.take(second).image.array, ct(seed=ord("b")))
    kept(first, load_volume(first))
    assert len(pickle.loads(pickle.dumps(kept))) == 0


def test_a_spacing_that_makes_more_than_the_memory_is_refused_for_all_cases_at_once(case_set):
    spacing = (1e-4, 1e-4, 1e-4)  # b has 9 x 0.8 mm along y, 8 x 1.5 along z, 7 x 2.5 along x
    with pytest.raises(InputError, match="2 of 2 cases cannot be used") as error:
        check(case_set, progress=False, spacing=spacing)
    assert "b.nii.gz: 9x8x7 voxels would become 175000x72000x120000 at the spacing 0.0001" in str(error.value)
    preprocessing = VolumePreprocessing(spacing)
    for read in (
        lambda: preprocessing.read(case_set.cases[1], case_set, label=False),
        lambda: preprocessing.hold(case_set.cases[1:], case_set, labels=False, progress=False),
    ):
        with pytest.raises(InputError, match=r"b.nii.gz: .* GiB; this machine has "):
            read()
    assert check(case_set, progress=False, spacing=(1.0, 1.0, 1.0)).bad == {}


@pytest.mark.parametrize(("scale", "spacing"), [(1e-3, (1.0, 1.0, 1.0)), (1.0, (1000.0, 1000.0, 1000.0))])
def test_a_volume_of_which_one_voxel_would_be_left_is_refused(tmp_path, scale, spacing):
    # meters that a file calls millimeters, or an absurd spacing
    write_nifti(tmp_path / "a.nii.gz", ct(), np.diag([0.8 * scale, 1.5 * scale, 2.5 * scale, 1.0]))
    case_set = find_cases(tmp_path)
    with pytest.raises(InputError, match=r"a\.nii\.gz: 9x8x7 voxels of \S+ mm would become 1x1x1 at the spacing"):
        check(case_set, progress=False, spacing=spacing)
    assert check(case_set, progress=False, spacing=(10.0 * scale,) * 3).good  # one voxel along one axis is a voxel
