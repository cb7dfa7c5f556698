"""Training states that are written beside the training."""

import logging
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from torch import nn

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.training import saving
from segxfer3d.training.saving import Copies, StateWriter
from segxfer3d.weights import checkpoint
from segxfer3d.weights.checkpoint import StateFolder
from tests.training.stand_ins import Run
from tests.training.test_training_state import Training, saved


@pytest.fixture
def disk(monkeypatch):
    """A disk that keeps a write until it is let go."""
    before, free = StateFolder.write, threading.Event()

    def write(self, *arguments, **options):
        assert free.wait(20)
        before(self, *arguments, **options)

    monkeypatch.setattr(StateFolder, "write", write)
    yield free
    free.set()


def state(value):
    return {"network": {"weight": torch.full((3,), float(value))}}


def test_a_state_is_what_it_was_when_it_was_begun(tmp_path, disk):
    writer, content = StateWriter(StateFolder(tmp_path / "states")), state(1)
    writer.begin(1, content)
    content["network"]["weight"] += 1
    assert not list((tmp_path / "states").iterdir())
    disk.set()
    writer.wait()
    assert StateFolder(tmp_path / "states").newest()["network"]["weight"].tolist() == [1.0] * 3


def test_one_state_is_written_at_a_time(tmp_path, disk):
    writer = StateWriter(StateFolder(tmp_path / "states"))
    writer.begin(1, state(1))
    second = threading.Thread(target=writer.begin, args=(2, state(2)))
    second.start()
    second.join(0.05)
    assert second.is_alive()  # it waits for the first
    disk.set()
    second.join(20)
    writer.write(3, state(3))
    assert [epoch for epoch, _ in writer.states.files()] == [3, 2]
    values = [checkpoint.read_file(path)["network"]["weight"][0] for _, path in writer.states.files()]
    assert values == [3.0, 2.0]


def test_what_could_not_be_written_is_said_by_the_next_call(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    writer = StateWriter(StateFolder(tmp_path / "states"))
    writer.write(1, state(1))
    monkeypatch.setattr(os, "fsync", full)
    for call in (writer.wait, lambda: writer.begin(3, state(3)), lambda: writer.write(3, state(3))):
        writer.begin(2, state(2))
        with pytest.raises(InputError, match=r"epoch-00002\.pt could not be saved \(\[Errno 28\] No space left"):
            call()
    writer.begin(2, state(2))
    writer._thread.join()
    with pytest.raises(InputError, match="No space left"):
        writer.check()
    writer.check()  # said once
    writer.begin(2, state(2))
    writer.finish()
    assert "epoch-00002.pt could not be saved" in caplog.text
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["epoch-00001.pt"]


def test_without_memory_for_a_copy_it_is_written_at_once(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(saving, "memory_left", lambda: 23.0)  # a copy has 12 bytes
    writer = StateWriter(StateFolder(tmp_path / "states"))
    for epoch in (1, 2):
        writer.begin(epoch, state(epoch))
        assert (tmp_path / "states" / f"epoch-0000{epoch}.pt").exists()
    assert caplog.text.count("no memory for a copy of a training state (0.0 GiB): training waits for each") == 1
    monkeypatch.setattr(saving, "memory_left", lambda: 24.0)
    monkeypatch.setattr(torch, "empty_like", lambda *_, **__: torch.empty(10**15))
    writer.begin(3, state(3))
    assert (tmp_path / "states" / "epoch-00003.pt").exists()


def test_memory_is_taken_beside_the_first_steps(tmp_path, monkeypatch):
    made, before = [], torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: made.append(threading.current_thread()) or before(*a, **k))
    writer = StateWriter(StateFolder(tmp_path / "states"))
    writer.prepare(state(0))
    writer.begin(1, state(1))
    writer.wait()
    assert [thread.name for thread in made] == ["training state"]
    assert writer.states.newest()["network"]["weight"].tolist() == [1.0] * 3


@pytest.mark.parametrize(("interval", "prepared"), [(1, 1), (4, 1), (5, 0)])
def test_no_memory_is_taken_for_the_last_state(interval, prepared, tmp_path, monkeypatch):
    calls, before = [], StateWriter.prepare
    monkeypatch.setattr(StateWriter, "prepare", lambda self, content: calls.append(0) or before(self, content))
    Training(Run(tmp_path), save_interval=interval).run()
    assert len(calls) == prepared


def test_without_another_thread_it_is_written_at_once(tmp_path, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer = StateWriter(StateFolder(tmp_path / "states"))
    writer.prepare(state(0))
    writer.begin(1, state(1))
    assert (tmp_path / "states" / "epoch-00001.pt").exists()


def test_a_copy_is_saved_as_the_state_would_be():
    network = nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3)).to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 2, 4, 4, 4)).sum().backward()
    optimizer.step()
    content = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "again": network[0].weight}
    content |= {"best": None, "values": (1, [2.5, "three"])}
    copies = Copies()
    copied = copies.take(content)
    places = {key: tensor.data_ptr() for key, tensor in copied["network"].items()}
    expected = {key: tensor.clone() for key, tensor in content["network"].items()}
    moment = optimizer.state_dict()["state"][0]["exp_avg"].clone()
    assert copied["network"]._metadata == network.state_dict()._metadata
    assert copied["again"] is copied["network"]["0.weight"]
    assert (copied["best"], copied["values"]) == (None, (1, [2.5, "three"]))
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 7.0
    for key, tensor in expected.items():
        assert torch.equal(copied["network"][key], tensor)
        assert copied["network"][key].stride() == content["network"][key].stride()
    assert torch.equal(copied["optimizer"]["state"][0]["exp_avg"], moment)
    assert copied["optimizer"]["param_groups"][0]["lr"] == 1e-3
    again = copies.take({**content, "network": network.state_dict()})
    assert {key: tensor.data_ptr() for key, tensor in again["network"].items()} == places
    assert torch.equal(again["network"]["0.weight"], network[0].weight)


def test_a_training_goes_on_while_a_state_is_written(tmp_path, disk):
    trained = []

    class Steps(Training):
        def step(self, engine, batch):
            super().step(engine, batch)
            trained.append(engine.state.epoch)
            if engine.state.epoch == 4:  # begun while the state of epoch 3 is not on disk
                disk.set()

    Steps(Run(tmp_path), save_interval=3).run()
    assert trained == [1, 2, 3, 4, 5]
    assert saved(tmp_path) == ["epoch-00003.pt", "epoch-00005.pt"]
    values = [checkpoint.read_file(tmp_path / "checkpoints" / f"epoch-0000{epoch}.pt") for epoch in (3, 5)]
    assert [float(value["network"]["weight"]) for value in values] == [3.0, 5.0]


def test_a_run_that_fails_keeps_the_state_that_was_begun(tmp_path, disk):
    class Fails(Training):
        def step(self, engine, batch):
            if engine.state.epoch == 3:
                raise InputError("the loss is nan")
            super().step(engine, batch)

    run = Run(tmp_path)
    with pytest.raises(InputError, match="the loss is nan"):
        Fails(run, save_interval=2).run()
    assert saved(tmp_path) == []
    disk.set()
    run.before_close.pop()()
    assert saved(tmp_path) == ["epoch-00002.pt"]


SCRIPT = """
import os, signal, sys, torch
from pathlib import Path
from segxfer3d.training.saving import StateWriter
from segxfer3d.weights.checkpoint import StateFolder
save, writer = torch.save, StateWriter(StateFolder(Path(sys.argv[1])))
writer.write(1, {"x": torch.ones(10)})
def slow(content, file):
    import time
    file.write(b"half")
    file.flush()
    time.sleep(0.3)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    file.seek(0)
    save(content, file)
torch.save = slow
writer.begin(2, {"x": torch.ones(10)})
raise SystemExit(7)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status", "epoch"), [("kill", -signal.SIGKILL, 1), ("end", 7, 2)])
def test_a_process_that_ends_while_it_writes(how, status, epoch, tmp_path):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path), how], check=False)
    assert done.returncode == status
    assert StateFolder(tmp_path).newest()["epoch"] == epoch
    assert len(list(tmp_path.glob(".part-*"))) == (how == "kill")
    files.sweep(tmp_path)
    assert not list(tmp_path.glob(".part-*"))
