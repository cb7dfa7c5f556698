"""Raw data of nnU-Net, after its description of both versions: numbers of channels, regions, what is missing."""

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
    assert found.layout == "nnunet"
    assert [(case.name, case.image.name) for case in found.cases] == [
        ("c0", "c0_0000.nii.gz"),
        ("c1", "c1_0000.nii.gz"),
    ]
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
            ("c0", True), ("c1", True), ("t", False),
        ]  # fmt: skip
        assert check(found, progress=False).good == found.cases


SECOND = {"labels": {"background": 0, "tumor": 1, "ignore": 2}, "file_ending": ".nii.gz", "numTraining": 2}


def second(root, names, channels=("0000", "0001"), **content):
    """A data set of the second version."""
    dataset(root, channels)
    declared = {"channel_names": {str(number): name for number, name in enumerate(names)}, **SECOND, **content}
    (root / "dataset.json").write_text(json.dumps(declared))
    return root


def test_several_channels_are_files_of_a_case_in_the_order_of_their_numbers(tmp_path):
    found = find_cases(second(tmp_path, ["T1", "FLAIR"]))
    assert (found.layout, found.channel_names, found.modality) == ("nnunet", ("T1", "FLAIR"), "MR")
    assert (found.classes, found.label_rule.ignore) == ({1: "tumor"}, (2,))
    assert [path.name for path in found.cases[0].files] == ["c0_0000.nii.gz", "c0_0001.nii.gz"]
    assert check(found, progress=False).good == found.cases


def test_the_first_version_names_channels_as_modalities(tmp_path):
    found = find_cases(dataset(tmp_path, ("0000", "0001"), modality={"0": "T1", "1": "T2"}))
    assert (found.layout, found.channel_names) == ("nnunet", ("T1", "T2"))
    assert [len(case.files) for case in found.cases] == [2, 2]


def test_channels_that_are_missing_are_bad_cases_all_at_once(tmp_path):
    root = second(tmp_path, ["T1", "FLAIR"])
    (root / "imagesTr" / "c1_0001.nii.gz").unlink()
    write_nifti(root / "imagesTs" / "t_0001.nii.gz", ct())
    with pytest.raises(InputError, match=r"2 of 3 cases cannot be used") as error:
        check(find_cases(root), progress=False)
    assert "imagesTr/c1_0001.nii.gz: no such file" in str(error.value)
    assert "imagesTs/t_0000.nii.gz: no such file" in str(error.value)
    assert [case.name for case in check(find_cases(root), progress=False, skip_bad=True).good] == ["c0"]


def test_channels_that_are_not_named_are_refused(tmp_path):
    root = second(tmp_path, ["T1", "FLAIR"])
    write_nifti(root / "imagesTr" / "c0_0002.nii.gz", ct())
    with pytest.raises(InputError, match=r"c0_0002\.nii\.gz \(channel 2, but dataset\.json names 2\)"):
        find_cases(root)


def test_more_channels_than_one_that_is_named_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"c0_0001\.nii\.gz \(channel 1, but dataset\.json names 1\)"):
        find_cases(dataset(tmp_path, channels=("0000", "0001")))


def test_cases_may_be_listed_by_their_files(tmp_path):
    listed = {"x": {"images": ["imagesTr/c0_0000.nii.gz", "imagesTr/c0_0001.nii.gz"], "label": "labelsTr/c0.nii.gz"}}
    found = find_cases(second(tmp_path, ["T1", "T2"], dataset=listed))
    assert [(case.name, len(case.files), case.label.name) for case in found.cases] == [("x", 2, "c0.nii.gz")]
    listed["x"]["label"] = "labelsTr/nowhere.nii.gz"
    with pytest.raises(InputError, match=r"nowhere\.nii\.gz \(no such file\)"):
        find_cases(second(tmp_path, ["T1", "T2"], dataset=listed))


def test_images_of_two_dimensions_are_another_kind(tmp_path):
    root = second(tmp_path / "set", ["gray"], file_ending=".png")
    save(root / "imagesTr" / "a_0000.png", noise())
    with pytest.raises(InputError, match=r"file_ending \.png: expected one of volumes|holds images"):
        find_cases(root)


def test_a_list_of_the_decathlon_stays_one(tmp_path):
    root = dataset(tmp_path)
    for name in ("c0", "c1"):
        (root / "imagesTr" / f"{name}_0000.nii.gz").rename(root / "imagesTr" / f"{name}.nii.gz")
    assert find_cases(root).layout == "decathlon"


def test_regions_are_read_where_their_order_is_known_and_of_volumes_only(tmp_path):
    regions = {"background": 0, "whole": [1, 2], "core": [2]}
    found = find_cases(dataset(tmp_path / "told", labels=regions, regions_class_order=[1, 2]))
    assert (found.classes, found.regions) == ({1: "whole", 2: "core"}, ((1, (1, 2)), (2, (2,))))
    with pytest.raises(InputError, match=r"dataset\.json: .*regions_class_order None: expected 2 different values"):
        find_cases(dataset(tmp_path / "volumes", labels=regions))
    save(tmp_path / "images" / "a.png", noise())
    save(tmp_path / "masks" / "a.png", square())
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": regions}))
    with pytest.raises(InputError, match=r"dataset\.json: regions, classes that are lists of values, are for volumes"):
        find_images("folder", tmp_path)


def test_labels_without_image_are_named(tmp_path):
    root = dataset(tmp_path)
    declared = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(declared))
    (root / "imagesTr" / "c1_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"imagesTr/c1_0000\.nii\.gz \(label without image\)$"):
        find_cases(root)


def test_a_name_in_both_folders_is_refused(tmp_path):
    root = second(tmp_path, ["CT"], ["0000"])
    write_nifti(root / "imagesTs" / "c0_0000.nii.gz", ct())
    with pytest.raises(InputError, match=r"dataset\.json: c0 \(in imagesTr and in imagesTs\)"):
        find_cases(root)


def test_endings_in_large_letters_and_files_that_are_no_cases(tmp_path):
    root = second(tmp_path, ["CT"], ["0000"])
    for path in [*root.glob("*/c0*")]:
        path.rename(path.with_name(path.name.replace(".nii.gz", ".NII.GZ")))
    (root / "imagesTr" / "._c0_0000.NII.GZ").write_bytes(b"of a Mac")
    (root / "imagesTr" / ".DS_Store").write_bytes(b"of a Mac")
    write_nifti(root / "imagesTr" / "c2_0000.nii", ct())
    found = find_cases(root)
    assert [(case.name, case.label.name) for case in found.cases] == [("c0", "c0.NII.GZ"), ("c1", "c1.nii.gz")]
    assert found.notes == (f"1 volumes are no case's and are passed over, for example {root}/imagesTr/c2_0000.nii",)
    assert check(found, progress=False).good == found.cases


@pytest.mark.parametrize("said", [{"file_ending": ".mha"}, {}])
def test_another_ending_than_the_file_says(tmp_path, said):
    root = second(tmp_path, ["CT"], ["0000"], **said)
    if not said:
        for path in [*root.glob("*/*.nii.gz")]:
            path.rename(path.with_name(path.name.removesuffix(".gz")))
    there = "c0_0000.nii" if not said else "c0_0000.nii.gz"
    with pytest.raises(InputError, match=rf'there is {there}: expected "file_ending": "{there[7:]}"'):
        find_cases(root)


def listed(name, **more):
    return {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz", **more}


def test_folds_and_patients_of_listed_cases(tmp_path):
    root = dataset(tmp_path, ["0000"], training=[listed("c0", fold=1, patient="P"), listed("c1", fold=0)])
    assert [(case.fold, case.patient) for case in find_cases(root).cases] == [(1, "P"), (0, "c1")]
    dataset(root, ["0000"], training=[listed("c0", fold=1), listed("c1")])
    with pytest.raises(InputError, match='1 of 2 labeled cases have no "fold"'):
        find_cases(root)


def parts(root):
    return {case.name: case.part for case in find_cases(root).cases}


def test_cases_that_validate(tmp_path):
    root = dataset(tmp_path, ["0000"], training=[listed("c0")], validation=[listed("c1")])
    assert parts(root) == {"c0": "train", "c1": "val"}
    assert 'dataset.json has 1 cases in "validation"' in find_cases(root).notes[0]
    for entry in ("c0", "imagesTr/c0_0000.nii.gz", listed("c0")):
        second(root, ["CT"], ["0000"], validation=[entry])
        assert parts(root) == {"c0": "val", "c1": "train"}
    both = {
        name: {"images": [f"imagesTr/{name}_0000.nii.gz"], "label": f"labelsTr/{name}.nii.gz"} for name in ["c0", "c1"]
    }
    second(root, ["CT"], ["0000"], dataset=both, validation=["c1"])
    assert parts(root) == {"c0": "train", "c1": "val"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"training": [listed("c0"), listed("c1")], "validation": [listed("c1")]},
            '"training" and "validation" name c1',
        ),
        (
            {"training": [listed("c0")], "validation": ["c7"]},
            '"validation" names c7, of which there is no labeled case',
        ),
    ],
)
def test_cases_that_cannot_validate(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        find_cases(dataset(tmp_path, ["0000"], **content))
