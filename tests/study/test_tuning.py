"""A search for settings, with fake trainings whose figure depends on the settings."""

import csv
import functools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from segxfer3d import cli
from segxfer3d.errors import InputError, installed_with
from segxfer3d.study import search_results, tuning
from segxfer3d.study.room import is_full
from segxfer3d.study.runner import Resources
from segxfer3d.study.search_file import read_search
from segxfer3d.study.slots import Slots
from segxfer3d.study.states import State
from tests.study.studies import BUNDLES, ROOT

# lr nearer to 0.001 is better; more epochs are better
FAKE = """
import json, math, pathlib, sys
folder, lr, epochs = pathlib.Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
with (folder / "starts.txt").open("a") as file:
    file.write("x")
(folder / "run.json").write_text('{"job": "fake", "knobs": {}}')
if lr > float(sys.argv[4]):
    print("error: loss is NaN in epoch 1")
    raise SystemExit(1)
best = abs(math.log10(lr) + 3) + 1 / epochs
lines = [{"epoch": 1, "validation_loss": best + 1}, {"epoch": 2, "validation_loss": best}, {"epoch": 3, "loss": 0.0}]
(folder / "metrics.jsonl").write_text("".join(json.dumps(line) + chr(10) for line in lines))
(folder / "model.pt").write_bytes(b"weights")
(folder / "done.json").write_text(json.dumps({"seconds": 60.0}))
"""
RESOURCES = Resources(1, 1, Slots((), 1))


def content(**changes):
    return {
        "name": "small",
        "config": str(BUNDLES / "genesis_pretrain.json"),
        "knobs": {"width": 2, "steps_per_epoch": 2},
        "search": {
            "lr": {"low": 1e-5, "high": 1e-1, "log": True},
            "max_epochs": {"low": 1, "high": 4},
            "schedule": {"choices": ["constant", "warmup-cosine"]},
        },
        "metric": "validation_loss",
        "trials": 6,
        **changes,
    }


def plan(folder, **changes):
    path = Path(folder) / "search.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(**changes)))
    return read_search(path)


def fake(highest_lr=1.0):
    def launch(trial, knobs):
        values = [knobs["output_dir"], str(knobs["lr"]), str(knobs["max_epochs"]), str(highest_lr)]
        return [sys.executable, "-I", "-S", "-c", FAKE, *values]

    return launch


def search(folder, made, launch=None, trials=None):
    said = []
    return tuning.search(made, folder, RESOURCES, said.append, trials, launch or fake()), said


def test_trials_go_on_and_come_to_the_same(tmp_path):
    made = plan(tmp_path)
    whole, said = search(tmp_path / "whole", made)
    assert len(said) == 6
    first, _ = search(tmp_path / "parts", made, trials=2)
    assert len(first) == 2
    again, said = search(tmp_path / "parts", made)
    assert [(one.number, one.knobs, one.value) for one in again] == [(o.number, o.knobs, o.value) for o in whole]
    assert len(said) == 4
    assert {path.read_text() for path in (tmp_path / "parts").glob("trials/*/starts.txt")} == {"x"}
    assert [one.value for one in whole] == sorted(one.value for one in whole)
    assert all(isinstance(one.knobs["max_epochs"], int) for one in whole)
    with (tmp_path / "whole" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [one.number for one in whole]
    best = json.loads((tmp_path / "whole" / "best.json").read_text())
    assert (best["value"], best["folder"]) == (whole[0].value, f"trials/{whole[0].number:04d}")
    assert f"--lr {whole[0].knobs['lr']}" in best["command"]
    assert "--width 2" in best["command"]


def test_a_stopped_trial_goes_on(tmp_path, monkeypatch):
    made = plan(tmp_path)
    run = tuning.runner.run

    def stop(trials, *others, **named):
        if trials[-1].id == "trial-0001":
            raise KeyboardInterrupt
        return run(trials, *others, **named)

    with monkeypatch.context() as patch:
        patch.setattr(tuning.runner, "run", stop)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "run", made)
    found, said = search(tmp_path / "run", made)
    assert sorted(one.number for one in found) == list(range(6))
    assert said[0].startswith("trial 1: ")


def test_failures_stop_nothing(tmp_path):
    found, said = search(tmp_path / "run", plan(tmp_path), fake(highest_lr=1e-3))
    failed = [one for one in found if one.value is None]
    assert 0 < len(failed) < 6
    assert failed == found[-len(failed) :]
    assert {one.error for one in failed} == {"loss is NaN in epoch 1"}
    assert sum("failed: loss is NaN" in line for line in said) == len(failed)
    assert "failed" in search_results.table(plan(tmp_path), found)


@pytest.mark.slow
def test_a_full_disk_is_not_the_settings_fault(tmp_path, monkeypatch):
    """Trials that failed for want of room were told to Optuna as failures of their settings, and never tried again."""
    made = plan(tmp_path)
    whole, _ = search(tmp_path / "whole", made)
    run = tuning.runner.run

    def full(trials, folder, *arguments, **more):
        if trials[-1].id == "trial-0002":
            return {trials[-1].id: State("failed", "model.pt could not be saved ([Errno 28] No space left on device)")}
        return run(trials, folder, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tuning.runner, "run", full)
        with pytest.raises(InputError, match=r"trial 2: .*0002 has no room \(.*with more, the same command goes on"):
            search(tmp_path / "full", made)
    again, said = search(tmp_path / "full", made)
    assert said[0].startswith("trial 2: ")
    assert [(one.number, one.value) for one in again] == [(one.number, one.value) for one in whole]


@pytest.mark.parametrize("room", [(10**6, 10**6, 10**5), (1, 0, 0)])
def test_room_for_files_is_looked_at_where_a_training_could_not_say_a_word(room, tmp_path, monkeypatch):
    free, files, left = room
    found = SimpleNamespace(f_bavail=free, f_frsize=4096, f_files=files, f_favail=left)
    monkeypatch.setattr("os.statvfs", lambda _: found)
    assert is_full(tmp_path, "ended with exit status 1 and without done.json") == (free == 1)


def test_a_storage_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    import optuna

    def fails(*_, **__):
        raise optuna.exceptions.StorageInternalError("commit") from OSError("database or disk is full")

    monkeypatch.setattr(optuna.study.Study, "tell", fails)
    with pytest.raises(InputError, match=r"search\.db could not be read or written \(database or disk is full\)"):
        search(tmp_path / "run", plan(tmp_path))


def test_an_unknown_metric_names_those_that_are_there(tmp_path):
    with pytest.raises(InputError, match=r"metric validation_los: .*did you mean validation_loss\?"):
        search(tmp_path / "run", plan(tmp_path, metric="validation_los"))
    found, _ = search(tmp_path / "run", plan(tmp_path))
    assert len(found) == 6
    assert (tmp_path / "run" / "trials" / "0000" / "starts.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("keep", "metric", "value"),
    [
        ("best", "validation_loss", 0.4),
        ("best", "loss", 0.3),
        ("best", "validation_accuracy", 0.6),
        ("best", "validation_probe", 0.2),  # measured in the first epoch
        ("last", "loss", 0.1),
        ("last", "validation_accuracy", 0.8),
    ],
)
def test_the_figure_is_that_of_the_weights_that_are_kept(keep, metric, value, tmp_path):
    lines = [
        {"loss": 0.9, "validation_loss": 0.5, "validation_accuracy": 0.7, "validation_probe": 0.2},
        {"loss": 0.3, "validation_loss": 0.4, "validation_accuracy": 0.6},
        {"loss": 0.1, "validation_loss": 0.45, "validation_accuracy": 0.8, "validation_probe": 0.1},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for direction in ("minimize", "maximize"):
        searched = plan(tmp_path, metric=metric, direction=direction)
        assert tuning._figure(tmp_path / "metrics.jsonl", searched, {"keep": keep}) == value


def test_other_searches_keep_their_folder(tmp_path):
    search(tmp_path / "run", plan(tmp_path), trials=1)
    for other in ({"seed": 1}, {"knobs": {"width": 4}}, {"direction": "maximize"}, {"name": "other"}):
        with pytest.raises(InputError, match="another search"):
            search(tmp_path / "run", plan(tmp_path, **other))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "search.db").write_text("no database, but long enough to look like one" * 30)
    with pytest.raises(InputError, match=r"search\.db: not a storage"):
        search(tmp_path / "odd", plan(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "genesis_pretrian"}, r"no bundle 'genesis_pretrian'"),
        ({"knobs": {"widht": 2}}, r"knobs.widht: no such knob in genesis_pretrain; did you mean width\?"),
        ({"search": {"lrr": {"low": 0.1, "high": 1}}}, r"search.lrr: no such knob in genesis_pretrain"),
        ({"search": {}}, "nothing to search"),
        ({"search": {"lr": {"low": 0.1, "high": 0.01}}}, r"search.lr: expected low <= high; got 0.1 and 0.01"),
        ({"search": {"lr": {"low": 0, "high": 0.01, "log": True}}}, r"expected 0 < low <= high, with log"),
        ({"search": {"lr": {"low": "a", "high": 0.01}}}, r"search.lr: expected numbers low and high"),
        ({"search": {"schedule": {"choices": []}}}, r"search.schedule: expected low and high, or choices"),
        ({"search": {"schedule": {"choices": ["cosin"]}}}, r"search.schedule: expected .*, got 'cosin'"),
        ({"search": {"width": {"low": 1, "high": 2}}}, r"search.width: expected in knobs or in search, found in both"),
        ({"search": {"output_dir": {"choices": ["a"]}}}, r"search.output_dir: not searched; the search's folder"),
        (
            {"search": {"split_seed": {"low": 0, "high": 9}}},
            r"split_seed: not searched; trials would be measured on other",
        ),
        ({"metric": ""}, "metric: expected an entry of metrics.jsonl"),
        ({"direction": "down"}, "direction: expected minimize or maximize, got 'down'"),
        ({"trials": 0}, "trials: expected a whole number from 1 to 100000, got 0"),
        ({"seed": 2**32}, "seed: expected a whole number from 0 to 4000000, got 4294967296"),
        ({"search": {"lr": {"choices": ["@run", 1]}}}, "search.lr: '@run' refers to no knob of"),
        (
            {"config": "genesis_finetune", "knobs": {"minutes": 2}},
            "knobs and search: minutes and max_epochs: expected one of them, got 2 and 1; both say how long",
        ),
        ({"trails": 3}, r"no key 'trails' is known; did you mean trials\?"),
    ],
)
def test_bad_files(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        plan(tmp_path, **changes)
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=re.escape(installed_with("tune"))):
        search(tmp_path / "run", plan(tmp_path))


def test_the_command_takes_settings_and_says_when_all_failed(tmp_path, monkeypatch):
    parameters = {"width": {"help": "channels", "default": 2}}
    made = content(parameters=parameters, knobs={"width": "{width}", "steps_per_epoch": 2})
    (tmp_path / "search.json").write_text(json.dumps(made))
    monkeypatch.setattr(tuning, "search", functools.partial(tuning.search, launch=fake(highest_lr=0.0)))
    words = ["tune", str(tmp_path / "search.json"), "-o", str(tmp_path / "out"), "--trials", "2", "--set"]
    result = CliRunner().invoke(cli.cli, [*words, "size=3"])
    assert "size" in str(result.exception)
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(cli.cli, [*words, "width=3"])
    assert "all 2 trials failed" in str(result.exception)
    assert result.output.count("failed: error: loss is NaN") + result.output.count("failed: loss is NaN") == 4
    assert json.loads((tmp_path / "out" / "trials" / "0000" / "trial.json").read_text())["knobs"]["width"] == 3
    assert not (tmp_path / "out" / "best.json").exists()


def test_the_files_of_the_bundles_are_read():
    for file in (BUNDLES / "tuning").glob("*.json"):
        assert set(read_search(file).space) == {"lr", "max_epochs", "weight_decay"}


@pytest.mark.slow
def test_a_killed_search_of_real_trainings(tmp_path):
    small = {"width": 2, "patch_size": [16, 16, 8], "batch_size": 2, "steps_per_epoch": 2, "phantom_patients": 8}
    plan(tmp_path, knobs=small, search={"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, trials=2)
    words = [sys.executable, "-m", "segxfer3d.cli", "tune", str(tmp_path / "search.json"), "-o", str(tmp_path / "run")]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    second = tmp_path / "run" / "trials" / "0001" / "run.json"
    while not second.exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = (tmp_path / "run" / "trials" / "0000" / "done.json").stat().st_mtime_ns
    result = CliRunner().invoke(cli.cli, words[3:])
    assert result.exit_code == 0, result.output
    assert "the best again: python -m monai.bundle run" in result.output
    assert (tmp_path / "run" / "trials" / "0000" / "done.json").stat().st_mtime_ns == done
    with (tmp_path / "run" / "trials.csv").open(newline="") as file:
        assert all(float(row["validation_loss"]) > 0 for row in csv.DictReader(file))
