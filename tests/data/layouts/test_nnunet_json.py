"""dataset.json of nnU-Net: names without the number of the channel, regions."""

import json

import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, square
from tests.data.volumes import ct, write_nifti


def dataset(root, channels=("0000",), **content):
    for case in ("c0", "c1"):
        for channel in channels:
            write_nifti(root / "imagesTr" / f"{case}_{channel}.nii.gz", ct())
        write_nifti(root / "labelsTr" / f"{case}.nii.gz", (ct() > 0).astype(np.uint8))
    pairs = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in ("c0", "c1")]
    known = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "tumor"}, "training": pairs, "test": []}
    (root / "dataset.json").write_text(json.dumps(known | content))
    return root


def test_the_first_version_lists_images_without_their_channel(tmp_path):
    found = find_cases(dataset(tmp_path))
    assert [case.image.name for case in found.cases] == ["c0_0000.nii.gz", "c1_0000.nii.gz"]
    assert (found.modality, found.classes) == ("CT", {1: "tumor"})
    assert check(found, progress=False).good == found.cases


def test_a_relative_path_to_the_second_version_finds_the_same(tmp_path, monkeypatch):
    root = dataset(tmp_path / "set")
    write_nifti(root / "imagesTs" / "t_0000.nii.gz", ct())
    declared = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(declared))
    monkeypatch.chdir(tmp_path)
    for place in (root, "set", "./set/"):
        found = find_cases(place)
        assert [(case.name, case.label is not None) for case in found.cases] == [
            ("c0_0000", True), ("c1_0000", True), ("t_0000", False),
        ]  # fmt: skip
        assert check(found, progress=False).good == found.cases


def test_several_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"c0_0000\.nii\.gz: the first of several channels \(c0_0001\.nii\.gz"):
        find_cases(dataset(tmp_path, channels=("0000", "0001")))


def test_regions_are_read_where_their_order_is_known_and_of_volumes_only(tmp_path):
    regions = {"background": 0, "whole": [1, 2], "core": [2]}
    found = find_cases(dataset(tmp_path / "told", labels=regions, regions_class_order=[1, 2]))
    assert (found.classes, found.regions) == ({1: "whole", 2: "core"}, ((1, (1, 2)), (2, (2,))))
    with pytest.raises(InputError, match=r"dataset\.json: .*regions_class_order None: expected 2 different values"):
        find_cases(dataset(tmp_path / "volumes", labels=regions))
    save(tmp_path / "images" / "a.png", noise())
    save(tmp_path / "masks" / "a.png", square())
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": regions}))
    with pytest.raises(InputError, match=r"dataset\.json: no classes in it \(ValueError: classes that are regions"):
        find_images("folder", tmp_path)


def test_labels_without_image_are_named(tmp_path):
    root = dataset(tmp_path)
    declared = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(declared))
    (root / "imagesTr" / "c1_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"imagesTr/c1_0000\.nii\.gz \(label without image\)$"):
        find_cases(root)
