"""The command-line guard: nothing a user types is ignored in silence."""

import json
from pathlib import Path

import pytest

from segxfer3d.config import command_line as guard
from segxfer3d.config.knobs import KNOBS, Knobs
from segxfer3d.errors import InputError

ROOT = Path(__file__).parents[2]
TRAIN = {"trainer": {"_target_": "X", "max_epochs": 3}}
CONFIG = {"dataset_dir": "", "init": "encoder", "resume": False, "train": TRAIN}
HEAD = ["/x/monai/bundle/__main__.py", "run", "--config_file", "a.json"]


def check(*words):
    return guard.check_command_line([*HEAD, *words], CONFIG)


def test_known_overrides_pass():
    assert check("--init", "random", "--dataset_dir=/d") == {"init": "random", "dataset_dir": "/d"}
    assert check("--train::trainer::max_epochs", "2") == {"train::trainer::max_epochs": "2"}
    assert check("--tracking", "mlflow") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--datasetdir", "x"], "did you mean --dataset_dir"),
        (["--train.trainer", "2"], "no such knob"),
        (["--train::traner", "2"], "train::traner"),
        (["--init", "None"], "would be ignored"),
        (["--dataset_dir", "/data/a#1"], "rewrites '#'"),
        (["--resume"], "True or --resume False"),
        (["--init"], "a value is missing"),
    ],
)
def test_what_would_be_ignored_is_refused(words, message):
    with pytest.raises(InputError, match=message):
        check(*words)


def test_quiet_when_not_started_by_run():
    assert guard.start(["pytest", "--whatever"]) == {}
    assert guard.started_by_bundle_run(HEAD)
    assert not guard.started_by_bundle_run(["/x/monai/bundle/__main__.py", "ckpt_export"])


def test_root_cause_prefers_input_errors():
    error = RuntimeError("instantiating")
    error.__cause__ = InputError("the file")
    assert str(guard.root_cause(error)) == "the file"


@pytest.mark.parametrize("path", sorted((ROOT / "bundles").glob("[!m]*.json")), ids=lambda p: p.stem)
def test_every_knob_of_a_bundle_is_known_and_checked(path):
    config = json.loads(path.read_text(encoding="utf-8"))
    if "knobs" not in config:
        pytest.skip("an overlay")
    aliases = {name for name, value in config.items() if str(value).startswith("@") or isinstance(value, dict)}
    named = {name for name in config if name in KNOBS} - aliases
    assert set(config["knobs"]) - {"_target_"} == named
    assert all(value == f"@{name}" for name, value in config["knobs"].items() if name != "_target_")
    assert "lambda" not in path.read_text(encoding="utf-8")
    assert all(f"--{name} " in guard.help_text(config) for name in named)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"init": "enc"}, "init: expected one of random, encoder"),
        ({"label_fraction": 0}, "label_fraction: expected a number above 0"),
        ({"label_fraction": 0.1, "label_count": 2}, "expected one of them, got both"),
        ({"max_epochs": 1.5}, "max_epochs: expected a whole number"),
        ({"patch_size": [10, 8, 8]}, "three multiples of 8"),
        ({"window_low": 5, "window_high": 1}, "window_low"),
        ({"amp": "yes"}, "amp: expected True or False"),
        ({"patient_pattern": "("}, "patient_pattern"),
        ({"lr": float("nan")}, "lr"),
    ],
)
def test_bad_values_name_their_knob(values, message):
    with pytest.raises(InputError, match=message):
        Knobs(**values)


def test_numbers_that_were_folder_names_become_text_again():
    assert Knobs(dataset_dir=2024).dataset_dir == "2024"
