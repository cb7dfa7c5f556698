"""What a training runs is found in the source; an edit counts where it may change a result."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import segxfer3d
from segxfer3d.study import code
from tests.study.studies import BUNDLES

NAMES = ("simclr_pretrain", "unet2d_finetune", "genesis_finetune")
VERSION = """
import json, sys
from pathlib import Path
from segxfer3d.study import code
assert str(code.ROOT) == sys.argv[1], code.ROOT
configs = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[2:]]
print(code.code_version(*configs))
"""


def config(name):
    return json.loads((BUNDLES / f"{name}.json").read_text(encoding="utf-8"))


def copy(folder):
    shutil.copytree(Path(segxfer3d.__file__).parent, folder / "segxfer3d", ignore=shutil.ignore_patterns("*.pyc"))
    return folder / "segxfer3d"


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be edited."""
    return copy(tmp_path)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The version of a copy that nobody edits."""
    return version(copy(tmp_path_factory.mktemp("package")), *NAMES)


def version(package, *names):
    command = [sys.executable, "-c", VERSION, str(package), *(str(BUNDLES / f"{name}.json") for name in names)]
    result = subprocess.run(
        command, env={"PYTHONPATH": str(package.parent)}, cwd=package.parent, capture_output=True, text=True, check=True
    )
    return result.stdout


def edit(path, before, after):
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_a_cosmetic_edit_changes_nothing(package, before):
    for name in (
        "report/page.py",
        "study/runner.py",
        "statistics/compare.py",
        "interpret/cka.py",
        "data/inspection.py",
    ):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write("\nADDED = 1\n")
    losses = package / "losses" / "nt_xent.py"
    text = losses.read_text(encoding="utf-8")
    losses.write_text("# a comment\n" + text.replace('"""', '"""In other words: ', 1) + "\n\n\n", encoding="utf-8")
    assert version(package, *NAMES) == before


def test_what_may_change_a_result_changes_it(package, before):
    with (package / "losses" / "nt_xent.py").open("a", encoding="utf-8") as file:
        file.write("\nADDED = 1\n")
    losses = version(package, *NAMES)
    edit(package / "config" / "groups.py", "batch_size: int | None = option(", "batch_size: int | None = option(1 + ")
    assert len({before, losses, version(package, *NAMES)}) == 3


def test_a_new_layout_counts_and_another_pretext_does_not(package, before):
    edit(package / "pretexts" / "moco.py", "import", "ADDED = 1\nimport")
    assert version(package, *NAMES) == before
    (package / "networks" / "another.py").write_text("ADDED = 1\n")
    assert version(package, *NAMES) != before


def test_modules_are_those_that_a_training_imports():
    names = code.modules(config("simclr_pretrain"))
    assert {"losses.nt_xent", "augment.views", "training.optimization", "data.layouts", "files"} <= set(names)
    assert "pretexts.moco" not in names
    rooms = {name.split(".")[0] for name in names}
    assert not rooms & {"report", "study", "statistics", "cli", "interpret"}
    assert all(code._file(name) for name in code.NO_EFFECT)


def test_what_a_bundle_imports_counts_in_every_form(monkeypatch):
    monkeypatch.setitem(code.OLD_NAMES, "moco", {"*": "pretexts.moco"})
    for text in (
        "$import segxfer3d.pretexts.moco as moco", "$from segxfer3d.pretexts import base, moco as m",
        "segxfer3d.pretexts.moco.MoCo", "segxfer3d.moco.MoCo",
    ):  # fmt: skip
        assert "pretexts.moco" in code.modules({"a": [{"_target_": text}]}), text
    assert "pretexts.moco" not in code.modules({"description": "segxfer3d.pretexts.moco", "b": 1})
