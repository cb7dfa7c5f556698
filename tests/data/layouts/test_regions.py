"""nnU-Net's regions in dataset.json: classes that overlap, each made of values of one label map."""

import json

import numpy as np
import pytest
import torch

from segxfer3d.data.check import check
from segxfer3d.data.inspection import inspect
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.planning import take_fingerprint
from segxfer3d.data.preprocessing.class_masks import stacked_masks
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.volumes import AFFINE, ct, write_nifti

# BraTS: edema 1, core 2, enhancing tumor 3
BRATS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}


def values():
    label = np.zeros((9, 8, 7), np.uint8)
    label[1:8, 1:7, 1:6], label[2:6, 2:6, 2:5], label[3:5, 3:5, 3:4] = 1, 2, 3
    return label


def told(root, labels=BRATS, order=(1, 2, 3), **more):
    write_nifti(root / "images" / "a.nii.gz", ct())
    write_nifti(root / "labels" / "a.nii.gz", values())
    content = {"labels": labels, "modality": {"0": "MR"}} | ({"regions_class_order": list(order)} if order else {})
    (root / "dataset.json").write_text(json.dumps(content | more))
    return root


def test_classes_are_what_regions_are_written_as(tmp_path):
    found = find_cases(told(tmp_path))
    assert found.classes == {1: "whole tumor", 2: "tumor core", 3: "enhancing tumor"}
    assert found.regions == ((1, (1, 2, 3)), (2, (2, 3)), (3, (3,)))
    assert (found.parts, found.values) == (((1, 2, 3), (2, 3), (3,)), (1, 2, 3))
    assert check(found, progress=False).good == found.cases
    lines = [line for line in inspect(tmp_path, progress=False).lines if "share" in line]
    assert lines[0].endswith(f"whole tumor (1): {(values() > 0).mean() * 100:.4g} %")


def test_the_order_in_which_they_are_written_is_that_of_the_file(tmp_path):
    labels = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2, "ignore": 4}  # KiTS 2023
    found = find_cases(told(tmp_path, labels, (1, 3, 2)))
    assert found.classes == {1: "kidney", 2: "tumor", 3: "masses"}
    assert found.regions == ((1, (1, 2, 3)), (3, (2, 3)), (2, (2,)))
    assert found.parts == ((1, 2, 3), (2,), (2, 3))
    assert found.label_rule.ignore == (4,)


@pytest.mark.parametrize("preprocessing", [VolumePreprocessing(), VolumePreprocessing((1.0, 1.0, 2.5))])
def test_labels_are_channels_that_overlap(tmp_path, preprocessing):
    found = find_cases(told(tmp_path))
    item = preprocessing.read(found.cases[0], found, label=True)
    expected = [np.isin(values(), part) for part in found.parts]
    np.testing.assert_array_equal(stacked_masks(item["label"]).numpy(), expected)
    (held,) = preprocessing.hold(found.cases, found, labels=True, progress=False)
    assert held["label"].dtype == torch.float32
    assert (held["label"][0] >= held["label"][1]).all()
    if preprocessing.spacing is None:
        assert held["label"].sum((1, 2, 3)).tolist() == [mask.sum() for mask in expected]


def test_plans_look_at_all_of_them(tmp_path):
    found = find_cases(told(tmp_path))
    fingerprint = take_fingerprint(found.cases, found)
    assert fingerprint.classes == 3
    assert fingerprint.foreground.low >= ct()[values() > 0].min()


@pytest.mark.parametrize(
    ("labels", "order", "message"),
    [
        (
            BRATS,
            None,
            r"regions_class_order None: expected 3 different values, one for each region \(whole tumor, tumor",
        ),
        (BRATS, [1, 2], r"regions_class_order \[1, 2\]: expected 3"),
        (BRATS, [1, 2, 2], r"expected 3 different values"),
        (BRATS | {"tumor core": []}, [1, 2, 3], r"the region tumor core is of the labels \[\]; expected its classes"),
        (BRATS | {"tumor core": [0, 2]}, [1, 2, 3], r"the region tumor core is of the labels \[0, 2\]"),
        (
            BRATS | {"ignore": 3},
            [1, 2, 3],
            r"the region whole tumor is of the labels \[1, 2, 3\]; expected its classes",
        ),
        (BRATS, [1, 3, 2], r"the region enhancing tumor is written as 2, which is none of its labels \[3\]"),
        (
            BRATS | {"tumor core": ["two"]},
            [1, 2, 3],
            r"the region tumor core is of the labels \['two'\]; expected their values",
        ),
    ],
)
def test_regions_that_cannot_be(tmp_path, labels, order, message):
    with pytest.raises(InputError, match=rf"dataset\.json: .*{message}"):
        find_cases(told(tmp_path, labels, order))


def test_values_of_no_region_are_named(tmp_path):
    root = told(tmp_path)
    write_nifti(root / "labels" / "a.nii.gz", values() * 2)
    with pytest.raises(InputError, match=r"label values 4, 6; expected 0, 1, 2, 3$"):
        check(find_cases(root), progress=False)
    write_nifti(root / "labels" / "a.nii.gz", np.where(values() == 3, 4, values()).astype(np.uint8))
    found = find_cases(root, Request(label_map="4:3"))
    assert check(found, progress=False).good == found.cases


def test_masks_of_a_file_each_have_none(tmp_path):
    write_nifti(tmp_path / "s0" / "ct.nii.gz", ct())
    write_nifti(tmp_path / "s0" / "segmentations" / "liver.nii.gz", (values() > 0).astype(np.uint8), AFFINE)
    content = {"labels": BRATS, "regions_class_order": [1, 2, 3]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="regions are made of the values of one label map"):
        find_cases(tmp_path)
