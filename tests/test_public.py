"""The public names: each is there, lazily, and has its line on docs/reference.md, whose example runs."""

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import segxfer3d
from segxfer3d.config.old_names import OLD_NAMES
from segxfer3d.data.synthetic.phantoms import write_phantoms
from tests.inference.models import volume_model

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_every_name_has_its_line():
    listed = re.findall(r"^- `(\w+)`: \S.*", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(segxfer3d.__all__)


@pytest.mark.parametrize("name", segxfer3d.__all__)
def test_a_name_is_there_and_documented(name):
    value = getattr(segxfer3d, name)
    assert name in dir(segxfer3d)
    assert name == "__version__" or inspect.getdoc(value)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(segxfer3d.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"segxfer3d.{module}" for name, module in segxfer3d._PUBLIC.items()}
    assert sorted([*seen, "__version__"]) == sorted(segxfer3d.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        segxfer3d.load_modle  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, segxfer3d; print([m for m in ('torch', 'monai', 'numpy', 'scipy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert shown == "[]\n"


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_phantoms("phantoms", 4).rename("D")
    Path("runs/mine").mkdir(parents=True)
    volume_model(Path("runs/mine/model.pt"))
    test = sorted({case.patient for case in segxfer3d.find_cases("D").labeled})[:2]
    Path("runs/mine/split.json").write_text(json.dumps({"unit": "patient", "test": test}))
    (code,) = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/reference.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert 0 <= float(first.split()[0]) <= 1
    assert "torch.Size" in second


def test_the_page_on_migrating_has_every_module_that_moved():
    page = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)`.*? \| `([\w.]+)` \|$", page, re.MULTILINE)
    places = {
        (old, place if name == "*" else place.rpartition(".")[0])
        for old, table in OLD_NAMES.items()
        for name, place in table.items()
    }
    assert {row for row in rows if row[0] in OLD_NAMES} == places
