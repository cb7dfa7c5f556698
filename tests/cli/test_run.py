"""``segxfer3d run``: what MONAI would end with a long trace is said in a line before it starts."""

import re
import runpy
import subprocess
import sys

import pytest

from scripts import write_bundles
from segxfer3d.config.options import infos
from segxfer3d.config.shipped import bundle_names, shipped_folder
from segxfer3d.errors import InputError
from tests.cli.test_cli import call
from tests.config.test_reading import SMALL, write
from tests.jobs.test_bad_volumes import pytestmark  # noqa: F401  (MONAI warns that a config is code)


@pytest.fixture
def started(monkeypatch):
    """The command lines that MONAI would have been started with."""
    lines = []
    monkeypatch.setattr(runpy, "run_module", lambda *_, **__: lines.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    return lines


def test_a_bundle_by_its_name_its_path_and_with_overlays(started, tmp_path):
    overlay = write(tmp_path / "mine.yaml", {"lr": 0.1})
    shipped = str(shipped_folder() / "genesis_finetune.json")
    assert call("run", "genesis_finetune", "--seed", "1") == (0, "")
    assert call("run", shipped, overlay) == (0, "")
    assert call("run", "--seed=1", "--config_file", shipped) == (0, "")
    assert started == [
        ["run", "--config_file", shipped, "--seed", "1"],
        ["run", "--config_file", str([shipped, str(overlay)])],
        ["run", "--config_file", shipped, "--seed=1"],
    ]


def test_a_file_of_arguments_may_name_the_bundle(started, tmp_path):
    arguments = write(tmp_path / "a.yaml", {"config_file": "genesis_finetune", "seed": 3})
    assert call("run", "--args_file", arguments)[0] == 0
    shipped = str(shipped_folder() / "genesis_finetune.json")
    assert started == [["run", "--config_file", shipped, "--args_file", str(arguments)]]


def test_help_names_the_bundles(started):
    status, said = call("run", "--help")
    assert status == 0
    assert all(f"  {name}\n" in said for name in bundle_names())
    assert started == []


@pytest.mark.parametrize("name", bundle_names())
def test_help_behind_a_bundle_lists_its_knobs(started, name):
    recipe = write_bundles.recipes()[name]
    known = [option for group in write_bundles.groups_of(recipe) for option in infos(group)]
    status, said = call("run", name, "--help")
    assert status == 0
    assert re.findall(r"^  --(\w+) ", said, re.MULTILINE) == known
    assert max(map(len, said.splitlines())) <= 80
    assert started == []


def test_help_behind_a_bundle_imports_neither_torch_nor_monai():
    code = "import sys; from segxfer3d.cli import cli; cli(['run', 'moco_pretrain', '--help'], standalone_mode=False); "
    code += "print([m for m in ('torch', 'monai', 'numpy') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no bundle named; segxfer3d run NAME"),
        (["genesis_fintune"], "bundle genesis_fintune: no such file; did you mean genesis_finetune?"),
        (["a.json,b.json"], "several stand one behind the other, without commas"),
        (["--config_file", "a.json,b.json"], "several stand one behind the other, without commas"),
        (["--config_file", "nowhere.json"], "bundle nowhere.json: no such file"),
        (["genesis_finetune", "nowhere.yaml"], "bundle nowhere.yaml: no such file"),
        (["genesis_finetune", "--config_file", "infer"], "--config_file: the bundle is named already"),
        (["genesis_finetune", "--args_file", "nowhere.json"], "--args_file nowhere.json: no such file"),
        (["genesis_finetune", "{broken.json}"], "broken.json: no JSON or YAML that can be read"),
        (["genesis_finetune", "{broken.yaml}"], "broken.yaml: no JSON or YAML that can be read"),
        (["genesis_finetune", "{list.yaml}"], "list.yaml: expected an object with the bundle's values, got list"),
        (["genesis_finetune", "--args_file", "{unknown.json}"], "--sede: no such knob in this bundle; did you mean"),
    ],
)
def test_what_cannot_be_started_is_one_line(started, tmp_path, words, message):
    (tmp_path / "broken.json").write_text('{"a":', encoding="utf-8")
    write(tmp_path / "broken.yaml", "a: [")
    write(tmp_path / "list.yaml", "- 1\n")
    write(tmp_path / "unknown.json", {"sede": 1})
    words = [str(tmp_path / word[1:-1]) if word.startswith("{") else word for word in words]
    status, said = call("run", *words)
    assert status == 1
    assert message in said
    assert "Traceback" not in said
    assert started == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--window 64 32 16 --overlap 0.5", "'32': expected --name value; several are one value: --window 64,32,16"),
        ("--window=64 32", "'32': expected --name value; several are one value: --window 64,32"),
        ("--input a.nii.gz b.nii.gz c.nii.gz", "'b.nii.gz': expected --name value"),
        ("--overlap 0.5 --engine auto 1 2", "'1': expected --name value"),
    ],
)
def test_words_of_no_option_are_refused_before_monai_runs_them(started, words, message):
    status, said = call("run", "infer", *words.split())
    assert status == 1
    assert said.strip().endswith(message)
    assert started == []


def test_an_error_of_the_run_is_two_lines(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def fail(*_, **__):
        raise RuntimeError("inside MONAI") from InputError("lr: expected a number")

    monkeypatch.setattr(runpy, "run_module", fail)
    bundle = write(tmp_path / "small.json", SMALL)
    assert call("run", bundle)[0] == 1

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(runpy, "run_module", stop)
    assert call("run", bundle)[0] == 130
