"""Phantoms: repeatable, in HU, with nodules that no threshold finds."""

import json

import nibabel
import numpy as np

from segxfer3d.data.datasets import find_cases
from segxfer3d.data.phantoms import SPACING, chest, synthetic_ct, write_phantoms


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first, second, other = (write_phantoms(tmp_path / name, 2, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    name = "imagesTr/phantom-001-0.nii"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / name).read_bytes() != (other / name).read_bytes()


def test_layout_patients_and_units(tmp_path):
    root = write_phantoms(tmp_path, 5)
    cases = find_cases(root)
    assert cases.modality == "CT"
    assert cases.classes == {1: "nodule"}
    assert len(cases.labeled) == 7  # the first and the fifth patient have two scans
    assert len({case.patient for case in cases.cases}) == 5
    image = nibabel.load(cases.cases[0].image)
    assert np.allclose(image.header.get_zooms(), SPACING)
    hu = np.asarray(image.dataobj)
    assert hu.dtype == np.int16
    assert hu.min() >= -1024
    before = (root / "dataset.json").stat().st_mtime_ns
    assert write_phantoms(tmp_path, 5) == root
    assert (root / "dataset.json").stat().st_mtime_ns == before
    assert json.loads((root / "dataset.json").read_text())["numTraining"] == 7


def test_a_threshold_does_not_find_the_nodules():
    for seed in range(3):
        image, label = chest((64, 64, 40), np.random.default_rng(seed))
        assert label.any()
        for threshold in range(-800, 300, 100):
            mask = image > threshold
            assert 2 * (mask & (label > 0)).sum() / (mask.sum() + label.sum()) < 0.1


def test_a_large_ct_for_timing():
    volume = synthetic_ct((100, 90, 50))
    assert volume.shape == (100, 90, 50)
    assert volume.dtype == np.int16
    assert (volume < -700).mean() > 0.1
