import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.layouts.request import Request
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, write_nifti

MOVED = AFFINE + np.array([[0, 0, 0, 3], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def blob(dtype=np.uint8, value=1):
    label = np.zeros((9, 8, 7), dtype)
    label[2:5, 3:6, 2:4] = value
    return label


@pytest.fixture
def make(tmp_path):
    """Write a case; None leaves its label out."""

    def write(name, image=None, label=None, affine=AFFINE):
        path = write_nifti(tmp_path / f"{name}.nii.gz", ct() if image is None else image)
        if label is None:
            return Case(name, path)
        return Case(name, path, write_nifti(tmp_path / f"{name}-label.nii.gz", label, affine))

    return write


def volumes(*cases, classes=None):
    return CaseSet(Path(), "folder", 3, cases, classes or {1: "a"})


def why(case):
    with pytest.raises(InputError) as error:
        check(volumes(case, classes={1: "a", 2: "b"}), progress=False)
    first, second = str(error.value).splitlines()
    assert first == "1 of 1 cases cannot be used:"
    return second


def test_good_cases(make):
    two = blob(np.float32)
    two[0, 0, 0] = 2
    cases = [make("a", label=blob()), make("b", label=two), make("c"), make("d", label=np.zeros((9, 8, 7), np.int16))]
    report = check(volumes(*cases, classes={1: "a", 2: "b"}))
    assert report.good == tuple(cases)
    assert report.bad == {}
    assert report.empty_labels == ["d"]
    assert report.shapes == dict.fromkeys("abcd", (9, 8, 7))
    content = json.loads(json.dumps(report.as_dict()))
    assert list(content) == ["good", "bad", "empty_labels", "shapes", "converted"]
    assert (content["good"], content["shapes"]["a"]) == (["a", "b", "c", "d"], [9, 8, 7])


def test_values_that_are_ignored(make):
    some, none, all_of_it = blob(), np.zeros((9, 8, 7), np.uint8), np.full((9, 8, 7), 2, np.uint8)
    some[0], none[0] = 2, 2
    case_set = replace(volumes(make("a", label=some), make("b", label=none)), label_rule=LabelRule(ignore=(2,)))
    report = check(case_set, progress=False)
    assert (len(report.good), report.empty_labels) == (2, ["b"])
    with pytest.raises(InputError, match=r"c-label\.nii\.gz: nothing in it but the value 2, which is ignored"):
        check(replace(case_set, cases=(make("c", label=all_of_it),)), progress=False)
    with pytest.raises(InputError, match=r"label values 7; expected 0, 1, or 2 \(ignored\)"):
        check(replace(case_set, cases=(make("d", label=blob(value=7)),)), progress=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers(make, value):
    image = ct().astype(np.float32)
    image[3, 3, 3] = value
    assert why(make("a", image)).endswith("a.nii.gz: NaN or infinite voxels")
    assert why(make("a", label=blob(np.float32, value))).endswith("a-label.nii.gz: NaN or infinite voxels")


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (1e300, np.float64, "voxels from -994 to 1e+300; expected intensities of at most 1e+18"),
        (-3.4e38, np.float32, "voxels from -3.4e+38 to "),
    ],
)
def test_voxels_that_are_no_intensities(make, value, dtype, message):
    image = ct().astype(dtype)
    image[3, 3, 3] = value
    assert f"a.nii.gz: {message}" in why(make("a", image))


def test_a_volume_of_one_value_is_named(make):
    flat, nearly = np.full((9, 8, 7), -5, np.int16), np.full((9, 8, 7), -5, np.int16)
    nearly[8, 7, 6] = 4
    report = check(volumes(make("a", flat), make("b", nearly), make("c")), progress=False)
    assert report.read_notes == {"a": "every voxel is -5"}
    assert len(report.good) == 3


def test_label_on_another_grid(make):
    assert why(make("a", label=blob()[:-1])).endswith(
        "a-label.nii.gz: the label's shape 8x8x7 is not its image's 9x8x7"
    )
    assert "a-label.nii.gz: the label's affine is not its image's" in why(make("a", label=blob(), affine=MOVED))


def test_label_values_beyond_the_declared(make):
    assert why(make("a", label=blob(value=3))).endswith("a-label.nii.gz: label values 3; expected 0, 1, 2")
    assert why(make("a", label=blob(np.float32, 0.5))).endswith("label values 0.5; expected 0, 1, 2")
    assert why(make("a", label=ct() % 11 - 9)).endswith("label values -9, -8, -7, -6, -5, ...; expected 0, 1, 2")


def test_unreadable_files(make):
    case = make("a", label=blob())
    case.image.write_bytes(case.image.read_bytes()[:400])
    assert "a.nii.gz: cannot be read, damaged or truncated" in why(case)
    case = make("b", label=blob())
    case.label.unlink()
    assert why(case).endswith("b-label.nii.gz: no such file")
    assert "expected a 3D volume" in why(make("c", ct((9, 8))))


def test_all_bad_cases_are_listed_at_once_or_left_out(make):
    bad = [make(f"bad{i}", label=blob(value=7)) for i in range(12)]
    good = [make("good", label=blob())]
    with pytest.raises(InputError, match="12 of 13 cases cannot be used") as error:
        check(volumes(*bad, *good), progress=False)
    _, line = str(error.value).splitlines()  # what is wrong with all of them stands there once
    assert "bad0-label.nii.gz: label values 7; expected 0, 1" in line
    assert line.endswith(f"and so 11 more: {', '.join(f'bad{i}' for i in range(1, 12))}")
    report = check(volumes(*bad, *good), skip_bad=True, progress=False)
    assert report.good == tuple(good)
    assert sorted(report.bad) == sorted(case.name for case in bad)
    assert list(report.shapes) == ["good"]
    with pytest.raises(InputError, match="12 of 12 cases cannot be used:"):
        check(volumes(*bad, *good), bad, skip_bad=True, progress=False)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "pattern"),
    [("LIDC_VOIs", ""), ("Task04_Hippocampus", ""), ("ct_volumes", "^(?!.*(mask|totalseg_example_seg))")],
)
def test_real_data_is_good(real_data, name, pattern):
    found = find_cases(real_data / name, Request(image_pattern=pattern))
    report = check(found, progress=False)
    assert report.good == found.cases
    assert report.empty_labels == []
