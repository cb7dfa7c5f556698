import json

import pytest

from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError


def make(root, training, test=(), files=None, **others):
    """A dataset.json and empty files: finding cases opens no volume."""
    listed = [name for entry in training for key, name in entry.items() if key not in ("patient", "fold")] + list(test)
    for name in files if files is not None else listed:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "nodule"}, "training": training}
    (root / "dataset.json").write_text(json.dumps(content | {"test": list(test)} | others))
    return root


def pair(name, **others):
    return {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} | others


def test_official_layout(tmp_path):
    root = make(tmp_path, [pair("b"), pair("a")], ["./imagesTs/c.nii.gz"])
    found = find_cases(root)
    assert (found.layout, found.modality, found.classes) == ("decathlon", "CT", {1: "nodule"})
    assert [case.name for case in found.cases] == ["a", "b", "c"]
    assert found.cases[0].image == root / "imagesTr/a.nii.gz"
    assert found.cases[0].label == root / "labelsTr/a.nii.gz"
    assert [case.name for case in found.unlabeled] == ["c"]


def test_patients_come_from_the_entry_the_pattern_or_the_lidc_name(tmp_path):
    lidc = [pair("LIDC-IDRI-0003_R_1", fold=0), pair("LIDC-IDRI-0003_R_2", fold=0)]
    root = make(tmp_path, [pair("x_1", patient=7, fold=3), *lidc])
    assert [case.patient for case in find_cases(root).cases] == ["LIDC-IDRI-0003", "LIDC-IDRI-0003", "7"]
    request = Request(patient_pattern=r"^(.*?)_")
    assert [case.patient for case in find_cases(root, request).cases] == [
        "LIDC-IDRI-0003",
        "LIDC-IDRI-0003",
        "7",
    ]
    assert [case.fold for case in find_cases(root).cases] == [0, 0, 3]
    with pytest.raises(InputError, match="finds no patient in the file name 'LIDC-IDRI-0003_R_1'"):
        find_cases(root, Request(patient_pattern=r"x_\d"))


@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        ({"0": "MRI"}, "MR"),
        ({"0": "T2", "1": "ADC"}, "MR"),
        ({"0": "CT"}, "CT"),
        ({"0": "US"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_modality(tmp_path, modality, expected):
    assert find_cases(make(tmp_path, [pair("a")], modality=modality)).modality == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"0": "background", "2": "b", "1": "a"}, {1: "a", 2: "b"}),
        ({"background": 0, "tumor": 1}, {1: "tumor"}),
        ({}, {1: "foreground"}),
    ],
)
def test_classes(tmp_path, labels, expected):
    assert find_cases(make(tmp_path, [pair("a")], labels=labels)).classes == expected


def test_what_is_listed_but_not_there_is_named_at_once(tmp_path):
    entries = [pair("a"), pair("b"), {"image": "./imagesTr/c.nii.gz"}]
    root = make(tmp_path, entries, files=["imagesTr/a.nii.gz", "labelsTr/b.nii.gz", "imagesTr/c.nii.gz"])
    with pytest.raises(InputError) as error:
        find_cases(root)
    assert "labelsTr/a.nii.gz (no such file); " in str(error.value)
    assert "imagesTr/b.nii.gz (label without image); " in str(error.value)
    assert str(error.value).endswith("imagesTr/c.nii.gz (image without label)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a Decathlon dataset.json"),
        ("[]", "not a Decathlon dataset.json"),
        ('{"channel_names": {}}', "KeyError: 'training'"),
        ('{"training": [{"label": "x"}]}', "training.0..image: is missing"),
        ('{"training": [], "labels": {"x": "y"}}', "invalid literal"),
        ('{"training": []}', "no volumes in it"),
    ],
)
def test_bad_json(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=message):
        find_cases(tmp_path)


def test_two_cases_of_one_name(tmp_path):
    other = {"image": "other/a.nii.gz", "label": "other/l.nii.gz"}
    with pytest.raises(InputError, match=r"several cases of one name: a \(.*imagesTr/a.nii.gz and .*other/a.nii.gz\)$"):
        find_cases(make(tmp_path, [pair("a"), other]))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "cases", "patients", "modality"), [("LIDC_VOIs", 818, 453, "CT"), ("Task04_Hippocampus", 260, 260, "MR")]
)
def test_real_data(real_data, name, cases, patients, modality):
    found = find_cases(real_data / name)
    assert len(found.labeled) == cases
    assert len({case.patient for case in found.cases}) == patients
    assert found.modality == modality


def test_a_list_of_files_is_of_channels(tmp_path):
    for name in ("a_flair.nii.gz", "a_t1.nii.gz", "l.nii.gz"):
        (tmp_path / name).touch()
    content = {
        "modality": {"0": "t1", "1": "flair"},
        "training": [{"image": ["a_t1.nii.gz", "a_flair.nii.gz"], "label": "l.nii.gz", "patient": "p"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    found = find_cases(tmp_path)
    (case,) = found.cases
    assert (case.files, found.channel_names) == (
        (tmp_path / "a_t1.nii.gz", tmp_path / "a_flair.nii.gz"),
        ("t1", "flair"),
    )
    assert found.modality == "MR"
    chosen = find_cases(tmp_path, Request(channel_names="flair"))
    assert (chosen.cases[0].files, chosen.channels) == ((tmp_path / "a_flair.nii.gz",), 1)
