"""Runs that are stopped and go on: full disks, damaged states, finished runs, other knobs, two writers."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from segxfer3d import files
from segxfer3d.config.learning import CHANGES
from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from segxfer3d.training.engines import RepeatableEpochs
from segxfer3d.weights import checkpoint
from tests.jobs.test_bad_volumes import BUNDLES, TINY, pytestmark, write_dataset

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def knobs(tmp_path_factory):
    root = write_dataset(tmp_path_factory.mktemp("data") / "set")
    return {
        **TINY,
        "dataset_dir": str(root),
        "patch_size": [16, 16, 16],
        "max_epochs": 4,
        "num_workers": 0,
        "amp": False,
    }


def run(name, folder, knobs, **more):
    more |= {"init": "random", "validation_interval": 3} if name == "genesis_finetune" else {}
    return run_bundle(BUNDLES / f"{name}.json", output_dir=str(folder), **{**knobs, **more})


@pytest.fixture(scope="module")
def whole(knobs, tmp_path_factory):
    """Runs that were never stopped."""
    root = tmp_path_factory.mktemp("whole")
    for name in ("genesis_pretrain", "genesis_finetune"):
        run(name, root / name, knobs)
    return root


def weights(folder):
    return checkpoint.read_model(folder / "model.pt")["state_dict"]


def assert_same_run(one, other):
    expected, found = weights(one), weights(other)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    records = []
    for folder in (one, other):
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        records.append([{k: v for k, v in line.items() if k != "seconds"} for line in lines])
    assert records[0] == records[1]


def stop_at(monkeypatch, epoch, error):
    """Have every run of this test stop when it begins an epoch."""
    before = RepeatableEpochs.__call__

    def stop(self, engine):
        if engine.state.epoch == epoch:
            raise error
        before(self, engine)

    monkeypatch.setattr(RepeatableEpochs, "__call__", stop)


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_ctrl_c_and_a_damaged_state_then_resume(name, amp, knobs, whole, tmp_path, monkeypatch):
    expected = whole / name
    if amp:
        knobs, expected = {**knobs, "amp": True}, tmp_path / "whole"
        run(name, expected, knobs)
    with monkeypatch.context() as patch:
        stop_at(patch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(name, tmp_path / "run", knobs)
    assert not (tmp_path / "run" / "model.pt").exists()
    newest = tmp_path / "run" / "checkpoints" / "epoch-00003.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    run(name, tmp_path / "run", knobs, resume=True)
    assert "going back to the state before it" in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert_same_run(expected, tmp_path / "run")
    knobs_of_run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["knobs"]
    assert knobs_of_run["amp"] is amp


@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_a_disk_that_fills_up_while_training(name, knobs, whole, tmp_path, monkeypatch):
    saved = []

    def save(content, file):
        saved.append(content)
        if len(saved) == 3:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        torch.serialization.save(content, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(InputError, match=r"epoch-00003\.pt could not be saved \(.*No space left on device\)"):
            run(name, tmp_path / "run", knobs)
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["epoch-00001.pt", "epoch-00002.pt"]
    assert not (tmp_path / "run" / "model.pt").exists()
    run(name, tmp_path / "run", knobs, resume=True)
    assert_same_run(whole / name, tmp_path / "run")


@pytest.mark.parametrize("name", ["genesis_pretrain", "genesis_finetune"])
def test_a_finished_run_is_not_trained_again(name, knobs, tmp_path, monkeypatch, caplog):
    run(name, tmp_path / "run", knobs)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file() and p.name != "log.txt"}
    stop_at(monkeypatch, 1, AssertionError("trained again"))
    with caplog.at_level("INFO", "segxfer3d"):
        run(name, tmp_path / "run", knobs, resume=True)
    assert "all 4 epochs are trained already, nothing is trained again" in caplog.text
    for path, content in before.items():
        if path.suffix in (".json", ".jsonl", ".csv") and path.name != "transfer.json":
            assert path.read_bytes() == content, path
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"is finished and its training states are gone"):
        run(name, tmp_path / "run", knobs, resume=True)


def test_a_run_that_stopped_early_is_not_trained_on(knobs, tmp_path, monkeypatch, caplog):
    more = {"patience": 1, "lr": 1e-12, "validation_interval": 1, "keep": "best"}
    more |= {"init": "random", **knobs}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), **more)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    before = weights(tmp_path / "run")
    with caplog.at_level("INFO", "segxfer3d"):
        run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "run"), resume=True, **more)
    assert "all 2 epochs are trained already" in caplog.text
    assert len((tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    after = weights(tmp_path / "run")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_another_run_is_not_gone_on_with(knobs, whole, tmp_path):
    finetune = whole / "genesis_finetune"
    with pytest.raises(InputError, match=r"holds a run of genesis_finetune, not of genesis_pretrain"):
        run("genesis_pretrain", finetune, knobs, resume=True)
    with pytest.raises(
        InputError, match=r"was started with seed 0, not 5; max_epochs 4, not 9\. Repeat its command \(it is in run"
    ):
        run("genesis_finetune", finetune, knobs, resume=True, seed=5, max_epochs=9)
    changed = {"lr": 0.5, "overlap": 0.5, "split_seed": 7, "weight_decay": 0.5, "rotate": 0.25}
    with pytest.raises(InputError) as caught:
        run("genesis_finetune", finetune, knobs, resume=True, **changed)
    assert all(f"{name} " in str(caught.value) for name in changed)
    many = {name: 0.25 for name in CHANGES if name != "low_resolution"} | {"seed": 5, "split_seed": 7, "overlap": 0.5}
    with pytest.raises(InputError, match=r"and [0-9]+ more\. Repeat its command"):
        run("genesis_finetune", finetune, knobs, resume=True, **many)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"resume: .*run\.json: damaged"):
        run("genesis_finetune", tmp_path, knobs, resume=True)


@pytest.mark.parametrize("lost", ["run.json", "plan.json"])
def test_a_run_that_was_killed_while_it_began_starts_over(lost, knobs, whole, tmp_path, monkeypatch, caplog):
    """``run.json`` comes last; earlier versions wrote it first, so a folder may have it alone."""
    folder = tmp_path / "run"
    write = files.write_json

    def killed(path, content):
        if path.name == "run.json":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            run("genesis_finetune", folder, knobs)
    assert (folder / "plan.json").is_file()
    assert not (folder / "run.json").exists()
    if lost == "plan.json":
        described = json.loads((whole / "genesis_finetune" / "run.json").read_text(encoding="utf-8"))
        write(folder / "run.json", described)
        (folder / "plan.json").unlink()
        (folder / "rate.json").unlink()
    with caplog.at_level("INFO", "segxfer3d"):
        run("genesis_finetune", folder, knobs, resume=lost == "plan.json")
    assert_same_run(whole / "genesis_finetune", folder)
    assert ("plan.json was not written; the run starts from the beginning" in caplog.text) == (lost == "plan.json")


def test_a_run_that_was_killed_before_its_first_state_starts_from_the_same_weights(knobs, tmp_path):
    """The plan that is read from its records drew random numbers when it was made, before the network did."""
    more = {"network": "genesis_unet", "max_epochs": 1}  # a network whose levels do not follow from the data
    run("genesis_finetune", tmp_path / "whole", knobs, **more)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    for lost in ("metrics.jsonl", "model.pt", "done.json"):
        (tmp_path / "run" / lost).unlink()
    run("genesis_finetune", tmp_path / "run", knobs, resume=True, **more)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_plan_that_is_lost_later_is_missed(knobs, whole, tmp_path):
    shutil.copytree(whole / "genesis_finetune", tmp_path / "run")
    (tmp_path / "run" / "plan.json").unlink()
    with pytest.raises(InputError, match=r"resume: .*plan\.json: cannot be read .*; it has the sizes of this run"):
        run("genesis_finetune", tmp_path / "run", knobs, resume=True)


def test_a_run_that_goes_on_keeps_the_defaults_that_it_had(knobs, whole, tmp_path):
    """Values that nobody set are those of the day on which it was started."""
    shutil.copytree(whole / "genesis_finetune", tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    assert described["knobs"]["foreground_share"] == 0.33
    described["knobs"] |= {"foreground_share": 0.4, "steps_per_epoch": 7, "recipe": "paper"}
    path.write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(InputError, match=r"was started with steps_per_epoch 7, not 2\. Repeat its command"):
        run("genesis_finetune", tmp_path / "run", knobs, resume=True)


WRITER = """
import sys
from pathlib import Path
from segxfer3d import files
with (Path(sys.argv[1]) / "log.txt").open("a") as file:
    files.lock(file, Path(sys.argv[1]))
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_write_to_one_folder(knobs, whole, tmp_path):
    for folder, more in ((tmp_path, {}), (whole / "genesis_finetune", {"resume": True})):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert writer.stdout.readline() == b"locked\n"
            with pytest.raises(InputError, match="another process is writing to"):
                run("genesis_finetune", folder, knobs, **more)
        finally:
            writer.communicate()
    assert [p.name for p in tmp_path.iterdir()] == ["log.txt"]


def test_records_say_the_same(whole):
    for name in ("genesis_pretrain", "genesis_finetune"):
        lines = [json.loads(line) for line in (whole / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        events = EventAccumulator(str(whole / name / "tensorboard")).Reload()
        for tag in lines[-1].keys() - {"epoch", "step"}:
            expected = [(line["step"], pytest.approx(line[tag], rel=1e-6)) for line in lines if tag in line]
            assert [(event.step, event.value) for event in events.Scalars(tag)] == expected, tag


def test_relative_paths_and_home(knobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "set").symlink_to(knobs["dataset_dir"])
    short = {**knobs, "max_epochs": 1, "init": "random"}
    run_bundle(BUNDLES / "genesis_finetune.json", **{**short, "dataset_dir": "set", "output_dir": "~/a"})
    run_bundle(
        BUNDLES / "genesis_finetune.json", **{**short, "dataset_dir": "~/set", "output_dir": "a", "resume": True}
    )
    data = checkpoint.read_model(Path("a/model.pt"))["provenance"]["data"]
    run_bundle(
        BUNDLES / "evaluate.json", dataset_dir="~/set", checkpoint="~/a/model.pt", output_dir="b", device="cpu",
        progress=False,
    )  # fmt: skip
    assert data == "set"
    assert (tmp_path / "b" / "cases.csv").is_file()
