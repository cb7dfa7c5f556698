"""Several processes under torchrun, on the CPU: one run, one folder, one table; killed and gone on with."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segxfer3d.run.bundle import run_bundle
from segxfer3d.weights import checkpoint
from tests.jobs.test_bad_volumes import BUNDLES, TINY, pytestmark, write_dataset
from tests.training.test_resume import assert_same_run

pytestmark = [*pytestmark, pytest.mark.slow]

LIMIT = 1200  # seconds for a command; ten are usual, but the machine may be busy
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--no-python"]
PYTHON = [sys.executable, "-W", "ignore::UserWarning:monai.bundle.scripts"]


def command(name, knobs, processes=2):
    words = [*TORCHRUN, *PYTHON] if processes > 1 else list(PYTHON)
    words += ["-m", "monai.bundle", "run", "--config_file", str(BUNDLES / f"{name}.json")]
    return words + [word for key, value in knobs.items() for word in (f"--{key}", str(value))]


def family(pid):
    """A process and all that it started; torchrun puts its workers into sessions of their own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def kill(process):
    """Kill a process and all that it started, as ``kill -9`` does."""
    for pid in family(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def finish(words, code=0):
    """Run a command that has to end with ``code``; gives what it printed on stdout and stderr."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        stdout, stderr = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    assert process.returncode == code, stderr[-3000:]
    return stdout, stderr


def launch(name, knobs, processes=2, code=0):
    return finish(command(name, knobs, processes), code)


@pytest.fixture(scope="module")
def knobs(tmp_path_factory):
    root = write_dataset(tmp_path_factory.mktemp("data") / "set")
    return {**TINY, "dataset_dir": str(root), "max_epochs": 12, "validation_interval": 5, "amp": False}


def with_init(name, knobs):
    if name != "genesis_finetune":
        return knobs
    # the last validation is compared with what the model gives afterwards, so both see the same
    return {**knobs, "init": "random", "mirrored_inference": False, "largest_component": "never"}


@pytest.fixture(scope="module")
def whole(knobs, tmp_path_factory):
    """Runs that were never killed, by name and number of processes, made when asked for."""
    root = tmp_path_factory.mktemp("whole")

    def get(name, processes, amp=False):
        folder = root / f"{name}-{processes}-{amp}"
        if not folder.exists():
            launch(name, {**with_init(name, knobs), "amp": amp, "output_dir": folder}, processes)
        return folder

    return get


@pytest.mark.parametrize(("workers", "amp"), [(0, False), (2, False), (0, True)])
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_a_killed_run_goes_on_bit_for_bit(name, processes, workers, amp, knobs, whole, tmp_path):
    expected = whole(name, processes, amp)
    folder = tmp_path / "run"
    values = {**with_init(name, knobs), "amp": amp, "output_dir": folder, "num_workers": workers}
    process = subprocess.Popen(command(name, values, processes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + LIMIT
    while not (folder / "checkpoints" / "epoch-00003.pt").exists() and time.time() < deadline:
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.01)
    kill(process)
    assert not (folder / "model.pt").exists(), "the run ended before it could be killed"
    newest = max((folder / "checkpoints").glob("epoch-*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    launch(name, {**values, "resume": True}, processes)
    assert "going back to the state before it" in (folder / "log.txt").read_text(encoding="utf-8")
    assert_same_run(expected, folder)


def test_two_processes_make_one_run_whose_table_is_its_models(knobs, whole, tmp_path):
    folder = whole("genesis_finetune", 2)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 13))
    assert len(list((folder / "tensorboard").iterdir())) == 1
    values = {"dataset_dir": knobs["dataset_dir"], "device": "cpu", "progress": False}
    values["checkpoint"] = str(folder / "model.pt")
    for processes, part in ((1, "test"), (1, "all"), (2, "all")):
        out = tmp_path / f"{part}-{processes}"
        launch("evaluate", {**values, "part": part, "output_dir": out}, processes)
    names = ("test-1", "all-1", "all-2")
    test, one, two = (json.loads((tmp_path / n / "cases_summary.json").read_text(encoding="utf-8")) for n in names)
    assert json.loads((folder / "cases_summary.json").read_text(encoding="utf-8")) == pytest.approx(test, rel=1e-5)
    assert one == pytest.approx(two, rel=1e-5)
    validated = {k: v for k, v in json.loads(lines[-1]).items() if k.startswith("validation_")}
    launch("evaluate", {**values, "part": "validation", "output_dir": tmp_path / "v"}, 1)
    summary = json.loads((tmp_path / "v" / "cases_summary.json").read_text(encoding="utf-8"))
    assert validated == pytest.approx({k: summary[k.removeprefix("validation_")] for k in validated}, rel=1e-5)


def test_two_processes_begin_with_phantoms_and_pretraining(tmp_path):
    # four patients: one for validation and one for the test, so that a process has none
    values = {**TINY, "phantom_patients": 4, "output_dir": tmp_path / "runs" / "f" / "001"}
    stdout, stderr = launch("genesis_finetune", values)
    assert stdout.count("pretraining briefly first") == 1
    assert len(re.findall(r"init encoder: encoder (\d+)/\1 tensors loaded", stdout)) == 1
    assert stdout.count("test part: 1 case\n") == 1
    assert "Warning" not in stderr
    assert [p.name for p in (tmp_path / "runs" / "generated").iterdir()] == ["phantoms-v1-4-0"]
    with (tmp_path / "runs" / "f" / "001" / "cases.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 1
    assert json.loads((tmp_path / "runs" / "f" / "001" / "run.json").read_text(encoding="utf-8"))["processes"] == 2


def test_two_processes_say_what_is_wrong_once(knobs, tmp_path):
    """A second process waits to be ended before it speaks; on a busy machine it may speak, but under its name."""
    values = {**knobs, "init": "random", "label_count": 99, "output_dir": tmp_path / "run"}
    _, stderr = launch("genesis_finetune", values, code=1)
    assert stderr.count("error: label_count: expected 1 to 3") == 1
    assert list(tmp_path.iterdir()) == []
    values = {**with_init("genesis_finetune", knobs), "label_count": 1, "output_dir": tmp_path / "run"}
    _, stderr = launch("genesis_finetune", values, code=1)
    assert stderr.count("error: 1 labeled cases for 2 processes: expected at least one for each") == 1
    values = {"checkpoint": "x.pt", "input": "x.nii", "output_dir": tmp_path / "run", "device": "cpu"}
    assert len(re.findall(r"error: (?!\(process 1\))", launch("infer", values, code=1)[1])) == 1


def test_a_run_of_two_processes_is_not_gone_on_with_in_one(knobs, whole):
    values = {**with_init("genesis_finetune", knobs), "output_dir": whole("genesis_finetune", 2), "resume": True}
    assert "started with 2 processes, not 1" in launch("genesis_finetune", values, 1, code=1)[1]


MANY = """
import json, sys
from segxfer3d.run.bundle import run_bundle
bundle, knobs, runs = json.loads(sys.argv[1])
for folder, more in runs.items():
    run_bundle(bundle, output_dir=folder, **{**knobs, **more})
"""


def test_frozen_parts_and_decoder_warmup(knobs, tmp_path):
    pretrained = tmp_path / "p"
    run_bundle(BUNDLES / "genesis_pretrain.json", output_dir=str(pretrained), **{**knobs, "max_epochs": 1})
    runs = {
        "frozen-encoder": {},
        "frozen-random": {},
        "encoder+decoder": {"decoder_warmup_epochs": 1},
    }
    values = {**knobs, "max_epochs": 2, "checkpoint": str(pretrained / "model.pt")}
    listed = {str(tmp_path / name): {"init": name, **more} for name, more in runs.items()}
    given = json.dumps([str(BUNDLES / "genesis_finetune.json"), values, listed])
    finish([*TORCHRUN, *PYTHON, "-c", MANY, given])
    before = checkpoint.read_model(pretrained / "model.pt")["state_dict"]
    moved = {}
    for name in runs:
        after = checkpoint.read_model(tmp_path / name / "model.pt")["state_dict"]
        for part in ("encoder", "decoder"):
            keys = [key for key in before if key.startswith(part)]
            moved[name, part] = not all(torch.equal(before[key], after[key]) for key in keys)
    assert not moved["frozen-encoder", "encoder"]
    assert moved["encoder+decoder", "encoder"]
    assert all(moved[name, "decoder"] for name in runs)


def test_processes_agree_on_a_plan_and_a_rate(knobs, tmp_path):
    options = {**knobs, "recipe": "strong", "init": "random", "range_test": True, "label_count": 2}
    del options["max_epochs"]
    launch("genesis_finetune", {**options, "minutes": 0.02, "output_dir": str(tmp_path / "run")})
    assert (tmp_path / "run" / "cases.csv").is_file()
