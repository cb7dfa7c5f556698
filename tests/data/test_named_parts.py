"""From names to cases, and everything that is wrong with them at once."""

import json
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.folds import by_names
from segxfer3d.data.named_parts import name_cases, twice_tested
from segxfer3d.data.split import by_patient
from segxfer3d.data.split_file import read_split_file
from segxfer3d.errors import InputError


def case(name, patient="", labeled=True):
    return Case(name, Path(f"{name}.nii.gz"), Path("l.nii.gz") if labeled else None, patient)


# two scans of p1 and of p2, one of p3, and one of p4 without a label
CASES = [
    case("a1", "p1"),
    case("a2", "p1"),
    case("b1", "p2"),
    case("b2", "p2"),
    case("c", "p3"),
    case("u", "p4", False),
]


def named(folder, content, cases=CASES, labels=True):
    path = folder / "s.json"
    path.write_text(json.dumps(content))
    return name_cases(read_split_file(path), cases, labels=labels)


def test_names_of_cases_and_of_patients(tmp_path):
    expected = ({"train": {"a1", "a2"}, "validation": {"c"}, "test": {"b1", "b2"}},)
    assert named(tmp_path, {"train": ["a1", "a2"], "val": ["c"], "test": ["b2", "b1"]}) == expected
    assert named(tmp_path, {"train": ["p1"], "val": ["p3"], "test": ["p2"]}) == expected
    assert named(tmp_path, {"train": ["p1"], "val": ["c"], "test": ["b1", "b2"]}) == expected


def test_names_of_files_and_of_nnunet(tmp_path):
    files = {"train": ["x/a1.nii.gz", "a2.nii"], "test": ["imagesTr/c.mha"]}
    assert named(tmp_path, files) == ({"train": {"a1", "a2"}, "test": {"c"}},)
    raw = [case("h_001_0000"), case("h_002_0000")]
    assert named(tmp_path, {"train": ["h_001"], "test": ["h_002"]}, raw) == (
        {"train": {"h_001_0000"}, "test": {"h_002_0000"}},
    )


def test_a_case_that_is_called_as_another_patient(tmp_path):
    cases = [case("x", "y"), case("y", "x"), case("z", "x")]
    assert named(tmp_path, {"train": ["x"], "unit": "patient", "test": ["y"]}, cases) == (
        {"train": {"y", "z"}, "test": {"x"}},
    )
    assert named(tmp_path, {"train": ["y", "z"], "test": ["x"]}, cases) == ({"train": {"y", "z"}, "test": {"x"}},)


def test_what_pretrains_may_train_too_and_needs_no_label(tmp_path):
    content = {"pretrain": ["p1", "u"], "train": ["p1"], "test": ["p2"]}
    assert named(tmp_path, content)[0]["pretrain"] == {"a1", "a2", "u"}


def test_a_patient_means_the_labeled_scans_where_labels_are_needed(tmp_path):
    cases = [*CASES, case("a3", "p1", False)]
    content = {"unit": "patient", "pretrain": ["p1", "p4"], "train": ["p1"], "test": ["p2"]}
    assert named(tmp_path, content, cases) == (
        {"pretrain": {"a1", "a2", "a3", "u"}, "train": {"a1", "a2"}, "test": {"b1", "b2"}},
    )
    assert named(tmp_path, content, cases, labels=False)[0]["train"] == {"a1", "a2", "a3"}
    with pytest.raises(InputError, match="without a label: u"):
        named(tmp_path, {**content, "test": ["p2", "p4"]}, cases)


def test_a_splits_own_record_is_read_again(tmp_path):
    """A patient with a follow-up scan that nobody labeled, and one without any label."""
    cases = [*CASES, *(case(f"d{i}", f"q{i}") for i in range(6)), case("a3", "p1", False)]
    split = by_patient(cases)
    again = by_names(cases, *named(tmp_path, split.as_dict(), cases))
    assert again == split


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    content = {
        "pretrain": ["b1"], "train": ["a1", "a1", "c", "nobody", "u"], "validation": ["a2", "c"],
        "test": ["b1", "b2", "ghost"],
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        named(tmp_path, content)
    first, *rest = str(caught.value).splitlines()
    assert first.endswith("s.json does not fit the data:")
    assert rest == [
        "  no case or patient is called so: nobody, ghost",
        "  named twice: a1 (train)",
        "  without a label: u",
        "  in two parts: b1 (pretrain, test), c (train, validation)",
        "  patients in two parts: p1 (train, validation)",
    ]


def test_a_patient_and_a_case_of_hers(tmp_path):
    with pytest.raises(InputError, match=r"named twice: a1 \(train\)"):
        named(tmp_path, {"train": ["p1", "a1"], "test": ["p2"]})
    with pytest.raises(InputError, match=r"in two parts: a1 \(train, test\)"):
        named(tmp_path, {"train": ["p1"], "test": ["a1", "p2"]})


def test_every_fold_is_looked_at(tmp_path):
    folds = [{"train": ["a1", "a2"], "val": ["b1", "b2"]}, {"train": ["a1", "b1", "b2"], "val": ["a2", "zz"]}]
    with pytest.raises(InputError) as caught:
        named(tmp_path, folds)
    assert str(caught.value).splitlines()[1:] == [
        "  no case or patient is called so: zz",
        "  patients in two parts: fold 1: p1 (train, test)",
    ]


def test_labels_are_asked_for_only_where_they_are_needed(tmp_path):
    content = {"train": ["a1", "a2", "u"], "test": ["c"]}
    assert named(tmp_path, content, labels=False)[0]["train"] == {"a1", "a2", "u"}


def test_cases_that_two_folds_test():
    folds = [{"test": {"a", "b"}}, {"test": {"b", "c"}}, {"test": {"d"}}]
    assert twice_tested(folds) == ["b"]
