"""Every door to a bundle takes the same values and refuses the same: the shell, files of arguments, Python."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import fire
import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle import run as monai_run

from segxfer3d.config import groups, reading
from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from tests.jobs.test_bad_volumes import pytestmark  # noqa: F401  (MONAI warns that a config is code)

ROOT = Path(__file__).parents[2]
SEEN = []  # the options of what ran, the last one last
REFERRED = []  # output_dir and overlap, as what refers to them gets them
SMALL = {
    "description": "Reads options and does nothing.",
    "imports": [
        "$import segxfer3d.config.groups as groups",
        "$import segxfer3d.config.reading as reading",
        "$from segxfer3d.run.bundle import run_bundle",
        "$from tests.config.test_reading import REFERRED",
        "$from tests.config.test_reading import SEEN",
    ],
    "output_dir": "runs/small",
    "device": "cpu",
    "amp": False,
    "channels_last": True,
    "progress": False,
    "overlap": 0.25,
    "options": "$reading.read('small', groups.Run, groups.Windows)",
    "part": {"_target_": "torch.nn.Identity", "size": 3},
    "section": {"first": "@part", "list": [1, "@overlap"], "referred": "$REFERRED.append((@output_dir, @overlap))"},
    "initialize": ["@options", "@section::first"],
    "run": ["$SEEN.append(@options)", "@section::list", "@section::referred"],
}


def write(path, content):
    text = json.dumps(content) if path.suffix == ".json" else content
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small.json", SMALL)


@pytest.fixture
def shell(monkeypatch):
    """``python -m monai.bundle run`` in this process; gives the options that were read."""
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*words):
        words = ["run", *map(str, words)]
        with monkeypatch.context() as process:
            process.setattr(sys, "argv", ["/x/monai/bundle/__main__.py", *words])
            fire.Fire({"run": monai_run}, command=words)
        return SEEN[-1].values

    return run


def cause(error):
    """The bad input at the end of a chain."""
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return str(error)


def workflow(file, **overrides):
    made = ConfigWorkflow(str(file), workflow_type=None, logging_file=False, **overrides)
    made.initialize()
    made.run()
    return SEEN[-1].values


def parsed(file, **overrides):
    parser = ConfigParser()
    parser.read_config(str(file))
    parser.update(overrides)
    return parser.get_parsed_content("options").values


def of_bundle(file, **overrides):
    run_bundle(file, **overrides)
    return SEEN[-1].values


DOORS = {"workflow": workflow, "parser": parsed, "run_bundle": of_bundle}


@pytest.fixture(params=["shell", "args_file", *DOORS])
def door(request, shell, small, tmp_path):
    """A way to run the small bundle with overrides."""
    if request.param == "shell":
        return lambda **o: shell("--config_file", small, *[w for k, v in o.items() for w in (f"--{k}", v)])
    if request.param == "args_file":
        return lambda **o: shell("--args_file", write(tmp_path / "a.json", {"config_file": str(small), **o}))
    return lambda **overrides: DOORS[request.param](small, **overrides)


def test_every_door_takes_overrides(door):
    values = door(output_dir="x/y", overlap=0.5, **{"part::size": 4})
    assert (values["output_dir"], values["overlap"], values["device"]) == ("x/y", 0.5, "cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("overlapp", "--overlapp: no such knob in this bundle.*did you mean --overlap?"),
        ("section::frist", "section::frist"),
        ("lr", "--lr: no such knob in this bundle"),  # an option, which this job does not take
    ],
)
def test_every_door_refuses_what_nothing_reads(door, name, message):
    count = len(SEEN)
    with pytest.raises((InputError, RuntimeError)) as caught:
        door(**{name: 1})
    assert re.search(message, cause(caught.value))
    assert len(SEEN) == count


def test_every_door_refuses_an_alias_that_nobody_asks_for(door):
    with pytest.raises((InputError, RuntimeError)) as caught:
        door(overlapp="@overlap")
    assert "--overlapp: no such knob in this bundle" in cause(caught.value)


def test_bad_values_are_refused_by_every_door(door):
    with pytest.raises((InputError, RuntimeError)) as caught:
        door(overlap=1.5, amp=3)
    assert "overlap: expected a number" in cause(caught.value)
    assert "amp: expected True or False, got 3" in cause(caught.value)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("2024_11_28", "2024_11_28"), ("1.10", "1.10"), ("007", "007"), ("1e5", "1e5"), ("0x10", "0x10"),
        ("(a)", "(a)"), ("a,b", "a,b"), ("'1.10'", "1.10"), ("$'a' + 'b'", "ab"), ("2024-11-28", "2024-11-28"),
    ],
)  # fmt: skip
def test_a_text_stays_as_it_was_typed(shell, small, typed, text):
    assert shell("--config_file", small, "--output_dir", typed)["output_dir"] == text
    assert shell("--config_file", small, f"--output_dir={typed}", "--overlap", "5e-1")["overlap"] == 0.5


@pytest.mark.parametrize("typed", ["True", "[a,b]"])
def test_what_means_no_text_is_refused_as_one(shell, small, typed):
    with pytest.raises(RuntimeError) as caught:
        shell("--config_file", small, "--output_dir", typed)
    assert "output_dir: expected " in cause(caught.value)


def test_a_text_stays_as_it_stands_in_a_file(shell, small, tmp_path):
    dated = write(tmp_path / "dated.yaml", "output_dir: 2024_11_28\noverlap: 5e-1\n")
    numbered = tmp_path / "numbered.json"
    numbered.write_text('{"output_dir": 1.10}', encoding="utf-8")
    arguments = write(tmp_path / "arguments.yaml", f"config_file: {small}\noutput_dir: 2024-11-28\n")
    assert shell("--args_file", arguments)["output_dir"] == "2024-11-28"
    assert shell("--config_file", str([str(small), str(dated)]))["overlap"] == 0.5
    assert REFERRED[-1] == ("2024_11_28", 0.5)
    for files, text in (([small, dated], "2024_11_28"), ([small, dated, numbered], "1.10")):
        listed = str([str(file) for file in files])
        assert shell("--config_file", listed)["output_dir"] == text
        assert shell("--config_file", listed, "--output_dir", "3.0")["output_dir"] == "3.0"
        assert shell("--config_file", listed, "--args_file", arguments)["output_dir"] == "2024-11-28"
        assert of_bundle(files)["output_dir"] == text
        assert of_bundle(files)["overlap"] == 0.5
        assert of_bundle(files, output_dir="mine")["output_dir"] == "mine"
    expression = write(tmp_path / "expression.json", {"output_dir": "$'e'"})
    assert of_bundle([small, dated, expression])["output_dir"] == "e"


def test_yaml_serves_where_json_does(shell, small, tmp_path):
    whole = write(tmp_path / "small.yaml", yaml.safe_dump(SMALL))
    change = write(tmp_path / "change.yml", "overlap: 0.5\npart::size: 7\n")
    assert shell("--config_file", whole)["overlap"] == 0.25
    assert shell("--config_file", str([str(small), str(change)]))["overlap"] == 0.5
    assert of_bundle([whole, change], device="cuda:3")["device"] == "cuda:3"
    assert workflow(whole, overlap=0.75)["overlap"] == 0.75
    arguments = write(tmp_path / "arguments.yaml", f"config_file: ['{whole}', '{change}']\noverlap: 0.125\n")
    assert shell("--args_file", arguments)["overlap"] == 0.125


def test_arguments_are_checked_beside_the_command_line(shell, small, tmp_path):
    arguments = write(tmp_path / "a.json", {"overlapp": 1})
    with pytest.raises(RuntimeError) as caught:
        shell("--config_file", small, "--args_file", arguments)
    assert "did you mean --overlap?" in cause(caught.value)
    write(arguments, {"output_dir": "runs/a#1"})
    with pytest.raises(RuntimeError) as caught:
        shell("--config_file", small, "--args_file", arguments)
    assert "rewrites '#'" in cause(caught.value)
    with pytest.raises(InputError, match="rewrites '#'"):
        run_bundle(small, output_dir="runs/a#1")


def test_a_bundle_inside_another_reads_its_own_options(shell, small, tmp_path):
    inner = "$run_bundle(@inner, output_dir='inside', overlap=0.5)"
    outer = write(tmp_path / "outer.json", SMALL | {"inner": str(small), "run": [inner, "$SEEN.append(@options)"]})
    typed = shell("--config_file", outer, "--output_dir", "2024_11_28", "--device", "cuda:1")
    assert (typed["output_dir"], typed["overlap"]) == ("2024_11_28", 0.25)
    inside = SEEN[-2]
    assert (inside.values["output_dir"], inside.values["device"], inside.typed) == ("inside", "cpu", {})
    assert SEEN[-1].typed == {"output_dir": "2024_11_28", "device": "cuda:1"}
    while_built = outer.with_name("built.json")
    write(while_built, SMALL | {"inner": str(small), "inside": inner, "initialize": ["@options", "@inside"]})
    assert of_bundle(while_built, output_dir="outside")["output_dir"] == "outside"
    assert SEEN[-2].values["output_dir"] == "inside"


def test_the_resolver_is_found_in_the_installed_monai(small):
    parser = ConfigParser(SMALL | {"options": "$reading._resolver()"})
    assert parser.get_parsed_content("options") is parser.ref_resolver
    outer = ConfigParser({"inner": parser, "found": "$@inner.get_parsed_content('options')"})
    outer["found"] = "$__import__('operator').methodcaller('get_parsed_content', 'options')(PARSER)"
    outer.globals["PARSER"] = parser
    parser.ref_resolver.reset()
    assert outer.get_parsed_content("found") is parser.ref_resolver
    with pytest.raises(RuntimeError, match=r"in Python, call the group itself: Training\(lr="):
        reading.read("none", groups.Run)


def test_options_that_a_bundle_lacks_are_named(small):
    lacking = {name: value for name, value in SMALL.items() if name not in ("device", "amp")}
    write(small, lacking)
    with pytest.raises(InputError, match="amp: the bundle has no such value, and its job needs it; device: "):
        run_bundle(small)


@pytest.mark.parametrize("name", ["genesis_finetune", "moco_pretrain", "infer"])
def test_a_bundle_of_the_old_form_is_refused(shell, tmp_path, name):
    old = ROOT / "tests" / "compatibility" / "files" / "bundles" / f"{name}.json"
    with pytest.raises(InputError, match="has the form of an earlier version"):
        run_bundle(old, output_dir=str(tmp_path / "run"))
    with pytest.raises(Exception) as caught:  # noqa: PT011  (MONAI's own around it)
        shell("--config_file", old, "--output_dir", tmp_path / "run")
    assert "Else three lines change" in cause(caught.value)
    assert sys.excepthook.__name__ == "show_error"
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_misspelt_option_is_found_by_mypy(tmp_path):
    snippet = write(
        tmp_path / "snippet.yaml",
        "from segxfer3d.config.groups import Training\nfrom segxfer3d.config.options import Options\n\n\n"
        "def rate(options: Options) -> float | None:\n    return options[Training].lr\n\n\n"
        "def wrong(options: Options) -> None:\n    print(options[Training].learning_rate)\n\n\n"
        "def typed(options: Options) -> str:\n    return options[Training].max_epochs\n",
    ).rename(tmp_path / "snippet.py")
    words = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(snippet)]
    said = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False).stdout
    assert 'snippet.py:10: error: "Training" has no attribute "learning_rate"' in said
    assert "snippet.py:14: error: Incompatible return value type" in said
    assert "Found 2 errors" in said
