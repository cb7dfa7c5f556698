"""Split files: the forms that are read, and what is refused of them."""

import json
import re

import pytest

from segxfer3d.data.split_file import read_split_file
from segxfer3d.errors import InputError

TRAIN = {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}


def write(folder, content, name="split.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_one_split(tmp_path):
    file = read_split_file(write(tmp_path, {"Training": ["a", 7], "val": ["c"], "test": []}))
    assert not file.folded
    assert file.of_fold(None) == {"train": ("a", "7"), "validation": ("c",), "test": ()}


def test_the_split_of_a_run(tmp_path):
    content = {"unit": "case", "pretrain": ["a", "b"], **TRAIN, "fold": 1, "folds": 5}
    file = read_split_file(write(tmp_path, content))
    assert (file.unit, file.folded) == ("case", False)
    assert file.of_fold(None) == {"pretrain": ("a", "b"), "train": ("a", "b"), "validation": ("c",), "test": ("d",)}


def test_folds_of_nnunet_are_tested_on_what_they_validate(tmp_path):
    content = [{"train": ["b", "c"], "val": ["a"]}, {"train": ["a", "c"], "val": ["b"]}]
    file = read_split_file(write(tmp_path, content, "splits_final.json"))
    assert file.folded
    assert file.of_fold(1) == {"train": ("a", "c"), "test": ("b",)}
    assert file.of_fold(0, 2) == {"train": ("b", "c"), "test": ("a",)}


def test_folds_that_have_a_test_part_keep_their_validation(tmp_path):
    content = [{"train": ["c"], "val": ["a"], "test": ["b"]}, {"train": ["a"], "val": ["b"], "test": ["c"]}]
    assert read_split_file(write(tmp_path, content)).of_fold(0) == {
        "train": ("c",), "validation": ("a",), "test": ("b",),
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_windows_writes(tmp_path, encoding):
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    for name, text in {
        "a.txt": "case\tpart\nB\u00e9la\ttrain\nd\ttest\n",
        "b.json": '{"train": ["B\u00e9la"], "test": ["d"]}',
    }.items():
        (tmp_path / name).write_bytes((mark + text).encode(encoding))
        assert read_split_file(tmp_path / name).of_fold(None) == {"train": ("B\u00e9la",), "test": ("d",)}


@pytest.mark.parametrize("folds", [[["a"], ["b", "c"]], {"0": ["a"], "1": ["b", "c"]}])
def test_folds_as_lists(tmp_path, folds):
    file = read_split_file(write(tmp_path, {"folds": folds}))
    assert file.of_fold(0) == {"train": ("b", "c"), "test": ("a",)}
    assert file.of_fold(1) == {"train": ("a",), "test": ("b", "c")}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["split.csv", "split.tsv", "SPLIT.TXT"])
def test_tables(tmp_path, mark, comma, name):
    text = "case,part\na,train\nb,val\nc,test\nd,train\n".replace(",", comma)
    file = read_split_file(write(tmp_path, mark + text, name))
    assert (file.unit, file.of_fold(None)) == (
        "case", {"train": ("a", "d"), "validation": ("b",), "test": ("c",)},
    )  # fmt: skip


def test_json_may_be_called_as_text(tmp_path):
    assert read_split_file(write(tmp_path, TRAIN, "split.txt")).of_fold(None)["train"] == tuple(TRAIN["train"])


def test_a_table_of_folds(tmp_path):
    file = read_split_file(write(tmp_path, "Patient,Fold\np1,1\np2,0\np3,1\n", "split.csv"))
    assert (file.unit, file.folded) == ("patient", True)
    assert file.of_fold(0) == {"train": ("p1", "p3"), "test": ("p2",)}


def test_folds_of_an_object_are_found_by_their_numbers(tmp_path):
    file = read_split_file(write(tmp_path, {"folds": {"1": ["b"], "0": ["a"], "2": ["c"]}}))
    assert [file.of_fold(number)["test"] for number in range(3)] == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{", "s.json", r"is not JSON \("),
        ([], "s.json", "0 folds; expected at least two"),
        ("7", "s.json", 'expected {"train"'),
        ({"train": [], "test": ["a"]}, "s.json", "nobody in the train part"),
        ({"train": ["a"], "tset": ["b"]}, "s.json", "no part is called 'tset'"),
        ({"train": ["a"], "val": ["b"], "validation": ["c"]}, "s.json", "two lists for the validation part"),
        ('{"train": ["a"], "train": ["b"]}', "s.json", "the key 'train' is there twice; expected it once"),
        ({"train": "a"}, "s.json", "train: expected a list of names"),
        ({"train": [True]}, "s.json", "train: expected a list of names"),
        ({**TRAIN, "unit": "slice"}, "s.json", "unit 'slice'; expected patient or case"),
        ({"folds": [["a"], []]}, "s.json", "two folds or more, each with somebody in it"),
        ({"folds": [["a"], ["b"]], "test": ["c"]}, "s.json", "test beside folds"),
        ([{"train": ["a"], "val": ["b"]}, {"val": ["a"]}], "s.json", "fold 1: nobody in the train part"),
        (
            "name,part\na,train\n",
            "s.csv",
            "the columns name, part; expected one of case and patient, and one of part and fold, no column twice "
            r"\(they are told apart by commas, semicolons, tabs\)",
        ),
        ("case|part\na|train\n", "s.csv", r"the columns case\|part; expected .*commas, semicolons, tabs"),
        ("case,part\na,train\nb,\n,test\n", "s.csv", "line 3, line 4: a name or its part is missing"),
        ("case,fold\na,one\nb,2\n", "s.csv", "fold one; expected whole numbers from 0"),
        # another fold than the one of that number would be tested
        ("case,fold\na,1\nb,2\nc,3\n", "s.csv", "its folds are called 1, 2, 3; expected 0 to 2, as fold counts them"),
        ("case,fold\na,0\nb,2\n", "s.csv", "its folds are called 0, 2; expected 0 to 1"),
        ({"folds": {"1": ["a"], "2": ["b"]}}, "s.json", "its folds are called 1, 2; expected 0 to 1"),
        ({"folds": [["a", "b"], ["b", "c"]]}, "s.json", r"in more than one fold, or twice in one: b \(0, 1\)"),
        ([{"train": ["a"], "val": ["b"]}, {"train": ["a"]}], "s.json", "fold 1: nobody in its val or test"),
        (["a", "b"], "s.json", r"s\.json: expected \{"),
        ("case,part\na,train,7\n", "s.csv", "line 2: more values than columns"),
        ("c\0a\0s\0e\0", "s.csv", "no text in UTF-8, or in UTF-16 with a byte order mark"),
        ("PK\0", "s.xlsx", "a spreadsheet; expected it saved as CSV"),
        ("case,fold\na,1\nb,1\n", "s.csv", "two folds or more"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, content, name, message):
    with pytest.raises(InputError) as caught:
        read_split_file(write(tmp_path, content, name))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert name in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"split_file .*s.json: cannot be read"):
        read_split_file(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("fold", "folds", "message"),
    [
        (2, None, r"fold: expected 0 to 1 \(split_file"),
        (-1, None, r"fold: expected 0 to 1 \(split_file .* got -1"),
        (None, None, r"fold: which of the 2 folds .* Expected 0 to 1"),
        (0, 5, r"folds 5: split_file .* has 2"),
    ],
)
def test_folds_that_are_not_there(tmp_path, fold, folds, message):
    file = read_split_file(write(tmp_path, {"folds": [["a"], ["b"]]}))
    with pytest.raises(InputError, match=message):
        file.of_fold(fold, folds)


def test_one_split_has_no_folds(tmp_path):
    with pytest.raises(InputError, match=r"fold 0: split_file .* has one split and no folds"):
        read_split_file(write(tmp_path, TRAIN)).of_fold(0)
