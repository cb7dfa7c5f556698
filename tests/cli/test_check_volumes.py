"""``segxfer3d check`` and ``plan`` of volumes: what settles a doubt is an option here too, and what stops a training is
said."""

import json

import numpy as np
import pytest

from tests.cli.test_cli import call
from tests.data.dicom_files import stored, write_slices
from tests.data.volumes import ct, write_nifti

MRI = np.random.default_rng(0).gamma(2, 200, (20, 18, 12)).astype(np.uint16)


def patients(root, image="ct", label="seg"):
    for number in range(4):
        write_nifti(root / f"p{number}" / f"{image}.nii.gz", ct())
        write_nifti(root / f"p{number}" / f"{label}.nii.gz", (ct() > 0).astype(np.uint8))
    return root


@pytest.mark.parametrize("spelt", ["--label-pattern", "--label_pattern"])
def test_the_option_that_a_message_names_is_taken(tmp_path, spelt):
    root = patients(tmp_path / "set")
    status, said = call("check", root)
    assert (status, "--label_pattern which are their labels" in said) == (1, True)
    status, said = call("check", root, spelt, "/seg$")
    assert (status, "cases: 4 of 4 patients, 4 labeled" in said) == (0, True), said
    status, said = call("plan", root, spelt, "/seg$", "--memory", 8)
    assert (status, "of 4 labeled volumes train; CT" in said) == (0, True), said
    status, said = call("check", root, spelt, "(")
    assert (status, "label_pattern '(': not a regular expression" in said) == (1, True)


def test_series_and_uneven_slices(tmp_path):
    write_slices(tmp_path, stored(), heights=[0, 1, 2, 3, 4, 5, 7], series="1.5")
    status, said = call("check", tmp_path)
    assert (status, "--uneven_slices resample takes it" in said) == (1, True)
    status, said = call("check", tmp_path, "--uneven_slices", "resample")
    assert (status, "voxels: median 9 x 8 x 8" in said) == (0, True), said
    write_slices(tmp_path, stored(), series="1.6", name="b{}")
    status, said = call("check", tmp_path)
    assert (status, "--series with a UID, a number or a description says which" in said) == (1, True)
    status, said = call("check", tmp_path, "--series", "1.6")
    assert (status, "voxels: median 9 x 8 x 7" in said) == (0, True), said


def test_what_stops_a_training_is_a_problem(tmp_path):
    for number in range(3):
        write_nifti(tmp_path / "flat" / f"a{number}.nii.gz", ct())
        write_nifti(tmp_path / "flat" / f"a{number}-lesion.nii.gz", (ct() > 0).astype(np.uint8))
        write_nifti(tmp_path / "mr" / f"a{number}.nii.gz", MRI)
    status, said = call("check", tmp_path / "flat")
    assert (status, "3 of 6 volumes hold 10 different values at most, as masks do (a0-lesion" in said) == (1, True)
    status, said = call("check", tmp_path / "flat", "--image_pattern", r"\d$")
    assert (status, "cases: 3 of 3 patients, 0 labeled" in said) == (0, True), said
    status, said = call("check", tmp_path / "mr")
    assert (status, "no CT in HU: 3 of 3 volumes" in said) == (1, True)
    status, said = call("check", tmp_path / "mr", "--modality", "MR")
    assert (status, "modality MR" in said) == (0, True), said


def channels(root, *, label):
    for number in range(3):
        for kind in ("t1", "flair"):
            write_nifti(root / f"p{number}" / f"p{number}_{kind}.nii.gz", MRI)
        write_nifti(root / f"p{number}" / f"p{number}_seg.nii.gz", label)
    return root


def test_labels_that_a_pattern_leaves_out_are_named_with_the_option(tmp_path):
    label = np.zeros(MRI.shape, np.uint8)
    label[3:6, 4:8, 2:5] = 1
    root = channels(tmp_path / "set", label=label)
    hint = "p0/p0_seg may be a label: --label_pattern '_seg$' reads such files as labels"
    for words in (("--channel_pattern", "_(t1|flair)$"), ("--image_pattern", "_t1$", "--modality", "MR")):
        status, said = call("check", root, *words)
        assert (status, f"note: {hint}\n" in said) == (0, True), said
        status, said = call("plan", root, *words, "--memory", 8)
        assert (status, said) == (1, f"{root}: no labels found; {hint}")
        status, said = call("check", root, *words, "--label_pattern", "_seg$")
        assert (status, "3 labeled" in said, "may be a label" in said) == (0, True, False), said


def test_a_class_that_no_case_shows_is_a_warning(tmp_path):
    label = np.zeros(MRI.shape, np.uint8)
    label[3:6, 4:8, 2:5], label[8:12, 4:8, 2:5] = 1, 2
    root = channels(tmp_path / "set", label=label)
    words = (root, "--channel_pattern", "_(t1|flair)$", "--label_pattern", "_seg$")
    content = {"labels": {"background": 0, "core": 1, "edema": 2, "enhancing": 3}}
    (root / "dataset.json").write_text(json.dumps(content))
    status, said = call("check", *words)
    assert (status, said.splitlines()[-1]) == (0, "warning: class enhancing (3): in no case")
    regions = {"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 2]}
    (root / "dataset.json").write_text(json.dumps(regions))
    status, said = call("check", *words)
    assert (status, said.splitlines()[-1]) == (0, "no problems found")
    status, said = call("check", *words, "--label_map", "2:1")
    assert (status, said.splitlines()[-1]) == (0, "warning: class core (2): in no case")
