"""Cases of a store that change, come later, are there twice, or show nearly nothing."""

import dataclasses

import nibabel
import numpy as np
import pytest

from segxfer3d.data.case import CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.store import cases as module
from segxfer3d.data.store.cases import Made, StoredCases
from segxfer3d.data.store.place import VolumeStore
from segxfer3d.errors import InputError
from tests.data.store.test_cases import PREPROCESSINGS, assert_held_alike, make, stored, write_cases


def test_a_file_that_changes_between_its_check_and_the_store_is_refused(tmp_path):
    """Else its voxels would be kept under the name of others."""
    for kind in ("image", "label"):
        (case,) = cases = write_cases(tmp_path, 1, classes=3)
        case_set = CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "a", 2: "b"})
        on_disk = stored(tmp_path / "s", case_set)
        path = getattr(case, kind)
        before = nibabel.load(path)
        voxels = np.asarray(before.dataobj).copy()
        voxels[0, 0, 0] = 2 - voxels[0, 0, 0]
        nibabel.save(nibabel.Nifti1Image(voxels, before.affine), path)
        with pytest.raises(InputError, match=rf"{path.name}: was changed since it was checked; start again"):
            make(on_disk, cases)
        assert not [*(tmp_path / "s").rglob("*.npy")]
    make(stored(tmp_path / "s", case_set), cases)
    assert len([*(tmp_path / "s" / "images").iterdir()]) == 1


def test_checksums_find_what_fingerprints_find_and_what_the_check_kept_is_not_looked_at_again(tmp_path, monkeypatch):
    (case,) = cases = write_cases(tmp_path, 1, classes=3)
    case_set = CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "a", 2: "b"})
    kept = KeptVolumes()
    report = check(case_set, progress=False, identify=True, keep=kept)
    before = nibabel.load(case.label)
    voxels = np.asarray(before.dataobj).copy()
    voxels[0, 0, 0] = 2 - voxels[0, 0, 0]
    nibabel.save(nibabel.Nifti1Image(voxels, before.affine), case.label)
    monkeypatch.setattr(module, "voxels_hash", None)  # nothing asks for it
    on_disk = StoredCases(VolumeStore(tmp_path / "s"), case_set, PREPROCESSINGS[0], report.identities, report.checksums)
    with pytest.raises(InputError, match=rf"{case.label.name}: was changed since it was checked; start again"):
        make(on_disk, cases)
    monkeypatch.setattr(module, "voxels_checksum", None)
    assert on_disk.make(cases, labels=True, kept=kept, progress=False, needed=0).number == 1


def test_a_case_that_is_added_or_changed_later_is_made_beside_the_others(tmp_path):
    cases = write_cases(tmp_path, 2, classes=3)
    case_set = CaseSet(tmp_path, "folder", 3, tuple(cases[:1]), {1: "a", 2: "b"})
    assert make(stored(tmp_path / "s", case_set), cases[:1]).number == 1
    more = dataclasses.replace(case_set, cases=tuple(cases))
    assert make(stored(tmp_path / "s", more), cases).number == 1
    label = nibabel.load(cases[0].label)
    voxels = np.asarray(label.dataobj).copy()
    voxels[0, 0, 0] = 2 - voxels[0, 0, 0]
    nibabel.save(nibabel.Nifti1Image(voxels, label.affine), cases[0].label)
    again = stored(tmp_path / "s", more)
    assert again.whole(cases[0]) is None
    assert make(again, cases).number == 1
    assert len([*(tmp_path / "s" / "images").iterdir()]) == 2
    (expected,) = PREPROCESSINGS[0].hold(cases[:1], more, labels=True, progress=False)
    assert_held_alike(expected, again.items(cases[:1], labels=True)[0])


def test_no_case_and_a_class_of_one_voxel(tmp_path):
    (case,) = cases = write_cases(tmp_path, 1, classes=1)
    label = nibabel.load(case.label)
    voxels = np.asarray(label.dataobj).copy()
    voxels[3, 4, 5] = 2
    nibabel.save(nibabel.Nifti1Image(voxels, label.affine), case.label)
    case_set = CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "none", 2: "one voxel"})
    on_disk = stored(tmp_path / "s", case_set)
    assert make(on_disk, []) == Made()
    assert len(on_disk.items([], labels=True)) == 0
    make(on_disk, cases)
    (item,), (expected,) = on_disk.items(cases, labels=True), PREPROCESSINGS[0].hold(
        cases, case_set, labels=True, progress=False
    )  # fmt: skip
    assert_held_alike(expected, item)
    assert item["label"].voxel_of(0, 0.5) is None
    voxel = item["label"].voxel_of(1, 0.999)
    assert item["label"][(slice(None), *voxel)].flatten().tolist() == [0.0, 1.0]


def test_two_cases_of_one_content_are_one_entry(tmp_path):
    cases = write_cases(tmp_path, 1, classes=3)
    cases.append(dataclasses.replace(cases[0], name="again"))
    case_set = CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "a", 2: "b"})
    on_disk = stored(tmp_path / "s", case_set)
    assert make(on_disk, cases).number == 1
    assert len([*(tmp_path / "s" / "images").iterdir()]) == 1
    assert on_disk.whole(cases[1])["case"] == "again"
