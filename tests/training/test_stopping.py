"""A training that is asked to stop keeps the step that it is in, and ends with the same bits as one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from ignite.engine import Events

from segxfer3d.config import stopping
from segxfer3d.config.stopping import Stopped
from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.random_state import random_state, set_random_state
from segxfer3d.training.engines import ItemOutput
from segxfer3d.training.resume import TrainingState
from tests.jobs import image_runs
from tests.jobs.test_bad_volumes import TINY, pytestmark, write_dataset
from tests.jobs.volume_sets import BUNDLES
from tests.training.test_resume import assert_same_run

__all__ = ["pytestmark"]

STEPS = 5
KNOBS = {**TINY, "patch_size": [16, 16, 16], "max_epochs": 3, "steps_per_epoch": STEPS}
BUNDLE = {
    "volumes": ("genesis_finetune", {"init": "random", "validation_interval": 2, "keep": "best"}),
    "cubes": ("genesis_pretrain", {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def asked_to_stop():
    """This process stops as one at a command line does."""
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # a shell that runs tests in the background has Ctrl-C ignored
    stopping.install()
    yield
    stopping.wait(False)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(write_dataset(tmp_path_factory.mktemp("data") / "set"))


def run(kind, folder, data, **more):
    name, own = BUNDLE[kind]
    run_bundle(BUNDLES / f"{name}.json", output_dir=str(folder), **{**KNOBS, "dataset_dir": data, **own, **more})


def signal_in_step(monkeypatch, step, number=signal.SIGTERM, times=1, event=Events.ITERATION_STARTED):
    """Have every training of this test get a signal while it is in a step, counted over all epochs from 1."""
    before = TrainingState.attach

    def attach(self, engine):
        def send(_):
            if engine.state.iteration == step:
                for _ in range(times):
                    os.kill(os.getpid(), number)

        engine.add_event_handler(event, send)
        before(self, engine)

    monkeypatch.setattr(TrainingState, "attach", attach)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """Runs that nobody stopped."""
    root = tmp_path_factory.mktemp("whole")
    for kind in BUNDLE:
        run(kind, root / kind, data)
    return root


def places():
    """Three places of an epoch, with and without loader processes; torch takes 10 s to take those of one test away."""
    for kind in BUNDLE:
        for within in (1, 3, STEPS - 1):
            yield pytest.param(kind, within, 0)
            yield pytest.param(kind, within, 2, marks=pytest.mark.slow)


@pytest.mark.parametrize(("kind", "within", "num_workers"), [*places()])
def test_a_state_within_an_epoch_goes_on_bit_for_bit(
    kind, within, num_workers, data, whole, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", "segxfer3d")
    with monkeypatch.context() as patch:
        signal_in_step(patch, STEPS + within)
        with pytest.raises(Stopped) as stopped:
            run(kind, tmp_path / "run", data, num_workers=num_workers)
    assert stopped.value.status == 143
    states = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert states == [f"epoch-00001-step-{within:05d}.pt", "epoch-00001.pt"]
    assert not (tmp_path / "run" / "model.pt").exists()
    run(kind, tmp_path / "run", data, resume=True, num_workers=num_workers)
    assert f"stopped after step {within} of epoch 2, whose state is kept" in caplog.text
    assert f"resume: going on after step {within} of epoch 2" in caplog.text
    assert_same_run(whole / kind, tmp_path / "run")


def test_stopped_twice_in_one_epoch_and_in_the_first(data, whole, tmp_path, monkeypatch):
    for step in (2, 3):
        with monkeypatch.context() as patch:
            signal_in_step(patch, step)
            with pytest.raises(Stopped):
                run("cubes", tmp_path / "run", data, resume=step == 3)
    run("cubes", tmp_path / "run", data, resume=True)
    assert_same_run(whole / "cubes", tmp_path / "run")


@pytest.mark.parametrize("name", ["moco_pretrain", pytest.param("unet2d_finetune", marks=pytest.mark.slow)])
def test_images(name, shapes, tmp_path, monkeypatch):
    more = {"dataset_dir": str(shapes), "steps_per_epoch": STEPS}
    more |= {"init": "random", "label_count": 4} if name == "unet2d_finetune" else {}
    image_runs.run(name, tmp_path / "whole", **more)
    with monkeypatch.context() as patch:
        signal_in_step(patch, STEPS + 2)
        with pytest.raises(Stopped):
            image_runs.run(name, tmp_path / "run", **more)
    image_runs.run(name, tmp_path / "run", resume=True, **more)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_the_last_step_of_an_epoch_is_kept_with_the_epoch(data, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        signal_in_step(patch, 2 * STEPS, signal.SIGHUP)
        with pytest.raises(Stopped) as stopped:
            run("volumes", tmp_path / "run", data)
    assert stopped.value.status == 129
    states = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert states == ["epoch-00001.pt", "epoch-00002.pt"]
    run("volumes", tmp_path / "run", data, resume=True)
    assert_same_run(whole / "volumes", tmp_path / "run")


def test_asked_twice_it_stops_at_once_and_ctrl_c_is_130(data, tmp_path, monkeypatch):
    signal_in_step(monkeypatch, STEPS + 2, signal.SIGINT, times=2)
    with pytest.raises(Stopped) as stopped:
        run("cubes", tmp_path / "run", data)
    assert stopped.value.status == 130
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["epoch-00001.pt"]


def test_outside_of_training_it_stops_at_once():
    with pytest.raises(Stopped, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_step_whose_loss_is_no_number_is_not_kept(data, tmp_path, monkeypatch):
    signal_in_step(monkeypatch, STEPS + 2)
    monkeypatch.setattr(ItemOutput, "__call__", spoiling(STEPS + 2))
    with pytest.raises(InputError, match=r"the loss is nan at step 7"):
        run("volumes", tmp_path / "run", data)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["epoch-00001.pt"]


def spoiling(step):
    def output(self, engine):
        losses = engine.state.output
        losses = losses[0] if isinstance(losses, list) else losses
        if engine.state.iteration == step:
            losses = {**losses, "loss": torch.tensor(float("nan"))}
        engine.state.output = [losses]

    return output


def test_a_folder_that_is_deleted_meanwhile_is_an_error(data, tmp_path, monkeypatch):
    before = TrainingState._save

    def delete(self, engine):
        if engine.state.epoch == 2:
            shutil.rmtree(self.run.path)
        before(self, engine)

    monkeypatch.setattr(TrainingState, "_save", delete)
    with pytest.raises(InputError, match=r"checkpoints cannot be written"):
        run("cubes", tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


def test_without_its_run_json_nothing_is_done(data, tmp_path, monkeypatch):
    before = TrainingState.use_best

    def delete(self):
        (self.run.path / "run.json").unlink()
        before(self)

    monkeypatch.setattr(TrainingState, "use_best", delete)
    with pytest.raises(InputError, match=r"was deleted, or its run\.json, while the run went on"):
        run("cubes", tmp_path / "run", data)
    assert not (tmp_path / "run" / "done.json").exists()


@pytest.mark.parametrize("lost", ["network", "random", "numpy", "schedule", "epoch"])
def test_a_state_of_wrong_content_is_passed_over(lost, data, whole, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        signal_in_step(patch, STEPS + 2)
        with pytest.raises(Stopped):
            run("cubes", tmp_path / "run", data)
    path = tmp_path / "run" / "checkpoints" / "epoch-00001-step-00002.pt"
    content = torch.load(path, weights_only=True)
    if lost == "numpy":
        content["random"]["numpy"] = ["no generator", [], 0, 0, 0.0]
    else:
        del content[lost]
    torch.save(content, path)
    with caplog.at_level("WARNING", "segxfer3d"):
        run("cubes", tmp_path / "run", data, resume=True)
    assert "no training state of this run (" + ("ValueError" if lost == "numpy" else "KeyError") in caplog.text
    assert_same_run(whole / "cubes", tmp_path / "run")


def test_random_states_come_back():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.normal(), float(torch.rand(1))  # noqa: NPY002

    draw()
    state = random_state()
    first = draw()
    assert draw() != first
    set_random_state(state)
    assert draw() == first


@pytest.mark.parametrize(("count", "goes_on"), [("1", True), ("0", False), ("", False), ("x", False), ("-1", False)])
def test_a_requeued_job_goes_on_by_itself(count, goes_on, data, whole, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        signal_in_step(patch, STEPS + 2)
        with pytest.raises(Stopped):
            run("cubes", tmp_path / "run", data)
    monkeypatch.setenv("SLURM_RESTART_COUNT", count)
    caplog.set_level("INFO")
    if not goes_on:
        with pytest.raises(InputError, match="holds a run already"):
            run("cubes", tmp_path / "run", data)
        return
    run("cubes", tmp_path / "run", data)
    assert f"SLURM_RESTART_COUNT is 1 and {tmp_path / 'run'} holds a run: resume True" in caplog.messages
    assert_same_run(whole / "cubes", tmp_path / "run")
    run("cubes", tmp_path / "new", data, max_epochs=1)  # a run that had not begun begins
    assert json.loads((tmp_path / "new" / "run.json").read_text(encoding="utf-8"))["knobs"]["resume"] is False


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a process
    stopping.install()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_at_a_command_line(number, data, tmp_path):
    knobs = {**KNOBS, "dataset_dir": data, "init": "random", "max_epochs": 10**4, "output_dir": str(tmp_path / "run")}
    knobs |= {"recipe": "paper", "validation_interval": 10**4}
    words = [f"--{name}={json.dumps(value) if isinstance(value, list) else value}" for name, value in knobs.items()]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(BUNDLES / "genesis_finetune.json")]
    program = subprocess.Popen(
        [*command, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    end = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints").is_dir() and time.monotonic() < end:
        time.sleep(0.05)
    program.send_signal(number)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 128 + number
    assert error.strip().splitlines()[-1] == (
        f"stopped; --output_dir {tmp_path / 'run'} --resume True goes on from the last training state"
    )
    assert "Traceback" not in error
