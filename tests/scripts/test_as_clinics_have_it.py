"""A data set as DICOM series, as folders of patients and as nnU-Net's: the same cases, values, places, split, dice."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from as_clinics_have_it import FORMS, TRAINING, compare, convert, main, rows_of, section
from dicom_series import scale_of

from segxfer3d import InputError, find_cases
from tests.data.volumes import ct, write_nifti

AFFINE = np.diag([-0.7, -0.8, 2.5, 1.0])
WARNINGS = ("ignore:parsing config_file", "ignore::DeprecationWarning", "ignore::FutureWarning")


def write_set(root, affine=AFFINE, patients=6):
    training = []
    for number in range(patients):
        for scan in "ab" if number < 2 else "a":
            name = f"P{number}_{scan}"
            label = np.zeros((9, 8, 7), np.uint8)
            label[2:5, 2:5, 2:5] = 1
            write_nifti(root / "img" / f"{name}.nii.gz", ct(seed=number), affine)
            write_nifti(root / "lab" / f"{name}.nii.gz", label, affine)
            entry = {"image": f"img/{name}.nii.gz", "label": f"lab/{name}.nii.gz", "patient": f"P{number}"}
            training.append(entry)
    about = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "x"}, "training": training}
    (root / "dataset.json").write_text(json.dumps(about))
    return root


def test_each_form_holds_the_same(tmp_path):
    case_set = find_cases(write_set(tmp_path / "set"))
    folders = convert(case_set, case_set.cases, tmp_path / "out")
    outcomes = compare(folders, None)
    assert [outcome.form for outcome in outcomes] == list(FORMS)
    for outcome in outcomes:
        assert outcome.cases == {case.name: case.patient for case in case_set.cases}
        assert outcome.split == outcomes[0].split
        assert outcome.values == 0
        assert outcome.places < 1e-6
    assert find_cases(folders["dicom"] / "P0" / "a" / "image").modality == "CT"
    rows = rows_of("set", outcomes)
    assert [row[3:5] for row in rows] == [["same", "same"]] * 4
    assert "| set | dicom | 8 of 6 | same | same | 0 |" in section(rows, 0)


def test_what_differs_is_found(tmp_path):
    case_set = find_cases(write_set(tmp_path / "set"))
    folders = convert(case_set, case_set.cases, tmp_path / "out")
    write_nifti(folders["patients"] / "P5" / "a" / "image.nii.gz", ct(seed=5) + np.int16(20), AFFINE * 1.01)
    outcome = compare(folders, None)[2]
    assert outcome.values == pytest.approx(20 / np.ptp(ct(seed=5)))
    assert outcome.places == pytest.approx(0.025, rel=1e-4)


def test_a_left_handed_volume_is_refused(tmp_path):
    case_set = find_cases(write_set(tmp_path / "set", np.diag([0.7, -0.8, 2.5, 1.0]), 1))
    with pytest.raises(InputError, match="left-handed"):
        convert(case_set, case_set.cases, tmp_path / "out")


@pytest.mark.parametrize("slope", [6.33064985, 0.00731, 1731.25])
def test_multiples_of_a_slope_come_back(slope):
    stored = np.random.default_rng(0).integers(0, 700, (9, 8, 7))
    values = (stored * slope).astype(np.float32)
    found, intercept, whole = scale_of(values)
    np.testing.assert_array_equal(whole, stored)
    np.testing.assert_allclose(whole * found + intercept, values, rtol=2e-7)


def test_other_values_are_rounded():
    values = np.random.default_rng(0).normal(0, 1, (9, 8, 7)).astype(np.float32)
    slope, intercept, whole = scale_of(values)
    assert whole.min() == 0
    assert whole.max() == 65535
    np.testing.assert_allclose(whole * slope + intercept, values, atol=slope * 0.51)
    assert scale_of(np.array([-5, 3], np.int16))[:2] == (1.0, 0.0)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["LIDC_VOIs", "Task04_Hippocampus"])
@pytest.mark.filterwarnings(*WARNINGS)
def test_the_same_dice_come_out(real_data, tmp_path, monkeypatch, name):
    monkeypatch.setitem(TRAINING, "steps_per_epoch", 4)
    page_file = tmp_path / "page.md"
    main([str(real_data / name), "--output", str(tmp_path / "out"), "--patients", "10", "--page", str(page_file)])
    rows = [line.split(" | ") for line in page_file.read_text().splitlines() if line.startswith(f"| {name}")]
    assert [row[1] for row in rows] == list(FORMS)
    for row in rows:
        assert row[3:5] == ["same", "same"]
        assert float(row[5]) < 1e-6  # rounding of float32, where values are multiples of a slope
        assert float(row[6]) < 1e-6
        assert float(row[8].rstrip(" |")) < 0.01  # points
