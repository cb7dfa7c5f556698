"""What small runs compute and how data are split is what it was when ``golden.json`` was recorded."""

import json
from pathlib import Path

import pytest

from . import names
from .golden_runs import RUNS, TINY_RUNS
from .make_golden import differences, recorded, run, splits, tolerance

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.filterwarnings("ignore:parsing config_file"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the runs are, those that others start from among them."""
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(autouse=True)
def warmed_up_throughout(monkeypatch):
    """First steps were recorded of trainings whose one epoch is the decoder's warm-up, which is refused by now."""
    monkeypatch.setattr("segxfer3d.training.length._refuse_warmup", lambda *_: None)


def test_splits():
    assert differences(GOLDEN["splits"], splits()) == []


@pytest.mark.parametrize(
    "name", [name if name in TINY_RUNS else pytest.param(name, marks=pytest.mark.slow) for name in RUNS]
)
def test_runs(name, folder):
    found, before = recorded(run(name, folder, names.BUNDLES)), GOLDEN["runs"][name]
    if RUNS[name][1].get("patient_pattern"):  # whose probes had images of a patient on both sides
        before = {**before, "metrics": [_without_probes(line) for line in before["metrics"]]}
    assert differences(before, found, tolerance(name, GOLDEN["machine"])) == []
    assert names.foreign_modules() == []


def _without_probes(line):
    return {name: value for name, value in line.items() if name not in ("neighbor_accuracy", "linear_accuracy")}


def test_other_processors_may_round_differently():
    one = GOLDEN["runs"]["unet2d_finetune_tiny"]
    changed = json.loads(json.dumps(one))
    changed["metrics"][0]["loss"] *= 1 + 1e-5
    changed["weights"] = "another"
    assert differences(one, changed, 1e-4) == []
    assert len(differences(one, changed)) == 2
    changed["metrics"][0]["loss"] *= 1.01
    changed["labels"]["cases"][0] = "another"
    changed["cases"][0] = f"x{changed['cases'][0]}"
    assert len(differences(one, changed, 1e-4)) == 3
