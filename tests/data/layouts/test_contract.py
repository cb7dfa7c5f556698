"""What every layout keeps to, a new one too: a file in segxfer3d/data/layouts is all that makes it one."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from segxfer3d.config.options import load_table
from segxfer3d.data import layouts as package
from segxfer3d.data.case import CaseSet
from segxfer3d.data.layouts import Request, find_cases, layouts
from segxfer3d.errors import InputError

FOLDER = Path(package.__file__).parent
NAMES = list(layouts())
NAMED = [name for name in NAMES if name != "folder"]
# a target, where a data set has no own choice
TARGETS = {"voc": "cat", "cityscapes": "bus"}


def test_a_layout_is_a_file_with_read():
    with_read = {
        path.stem
        for path in FOLDER.glob("*.py")
        if any(isinstance(node, ast.FunctionDef) and node.name == "read" for node in ast.parse(path.read_text()).body)
    }
    assert set(NAMES) == with_read
    assert [*sorted(NAMED), "folder"] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_layout_says_of_itself(name):
    layout = layouts()[name]
    assert layout is importlib.import_module(f"segxfer3d.data.layouts.{name}")
    assert re.fullmatch(r"[a-z0-9_]+", name)
    assert layout.TITLE
    assert layout.SOURCE
    assert layout.DIMS
    assert set(layout.DIMS) <= {2, 3}
    assert layout.__doc__
    assert layout.read.__doc__
    assert list(inspect.signature(layout.read).parameters) == ["root", "request"]
    assert inspect.signature(layout.read).return_annotation == CaseSet.__name__


@pytest.mark.parametrize("name", NAMED)
def test_a_layout_does_not_fit_just_any_folder(name, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    assert layouts()[name].fits(tmp_path) is False
    assert layouts()[name].fits(tmp_path / "images") is False


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("task", ["segmentation", "images"])
def test_an_empty_folder_says_what_is_missing_and_where_it_is_had(tmp_path, name, task):
    (dims,) = layouts()[name].DIMS
    with pytest.raises(InputError, match=rf"{tmp_path}: not the layout of .*: no .*; unpack .* there") as error:
        find_cases(tmp_path, Request(layout=name, dims=dims, task=task, target=TARGETS.get(name, "")))
    assert layouts()[name].SOURCE in str(error.value)


@pytest.mark.parametrize("name", NAMED)
def test_the_other_kind_of_data_is_refused(tmp_path, name):
    (dims,) = layouts()[name].DIMS
    kinds = {2: "images", 3: "volumes"}
    message = f"dataset {name}: a data set of {kinds[dims]}; this bundle takes {kinds[5 - dims]}: use .*json"
    with pytest.raises(InputError, match=message):
        find_cases(tmp_path, Request(layout=name, dims=5 - dims))


def test_the_help_of_the_option_dataset_names_every_layout():
    words = re.findall(r"\w+", load_table()["dataset"].help)
    assert [name for name in NAMES if name not in words] == []


def test_every_layout_has_its_tests():
    written = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    together = {"cityscapes_cars": "cityscapes", "flowers17": "flowers", "flowers102": "flowers"}
    assert [name for name in NAMES if together.get(name, name) not in written] == []
