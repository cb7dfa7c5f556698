"""Trainings that are forked from a warm worker are as those that are started anew, whoever dies in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segxfer3d.files import Lock, held
from segxfer3d.study import launching
from segxfer3d.study.launching import PYTHON, WarmProcesses, started_from
from segxfer3d.study.runner import Resources, counts, run, study_lock
from segxfer3d.study.states import states
from tests.study.studies import ROOT, content, fake_module, plan, starts

RUNNER = """
import json, sys
from pathlib import Path
from segxfer3d.study.launching import WarmProcesses
from segxfer3d.study.runner import Resources, run, study_lock
from tests.study.studies import fake_module, plan
folder = Path(sys.argv[1])
with study_lock(folder), WarmProcesses([]) as warm:
    launch = fake_module(**json.loads(sys.argv[2]))
    run(plan(folder / "file")[1], folder, Resources(jobs=2), print, launch, processes=warm)
"""
# says what it finds: arguments, environment, session, input, threads
LOOK = """
import json, os, sys, threading
print(json.dumps({
    "argv": sys.argv, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": os.environ["OMP_NUM_THREADS"],
    "leader": os.getsid(0) == os.getpid(), "input": sys.stdin.read(), "warnings": sys.warnoptions, "name": __name__,
    "file": __file__, "where": os.getcwd(), "path": sys.path[0], "running": threading.active_count(),
}))
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder for modules that trainings run."""
    (tmp_path / "modules").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'modules'}{os.pathsep}{ROOT}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "modules"


def ended(way, folder, module, *arguments, **variables):
    """Run a module; its exit status and what it printed."""
    with (folder / "output.txt").open("wb") as output:
        environment = {**os.environ, **variables}
        process = way.start([*PYTHON, module, *arguments], output=output, environment=environment, inherited=[])
    return process.wait(30), (folder / "output.txt").read_text(encoding="utf-8")


def test_a_child_finds_what_a_new_process_finds(modules, tmp_path):
    (modules / "look.py").write_text(LOOK)
    found = []
    with WarmProcesses(["json"]) as warm:
        for way in (warm, launching.FRESH):
            code, text = ended(way, tmp_path, "look", "--a", "b c", CUDA_VISIBLE_DEVICES="7")
            assert code == 0, text
            found.append(json.loads(text))
        assert warm.worker is not None
        other = ended(warm, tmp_path, "look", OMP_NUM_THREADS="2")  # read as libraries are loaded: not from this worker
        assert json.loads(other[1])["threads"] == "2"
    assert found[0] == found[1]
    assert found[0]["argv"][1:] == ["--a", "b c"]
    assert (found[0]["gpu"], found[0]["leader"], found[0]["input"]) == ("7", True, "")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3), ("raise ValueError('bad')", 1), ("import os; os.kill(os.getpid(), 9)", -9),
        ("import sys; sys.excepthook = lambda *_: print('hook'); raise ValueError", 1),
        ("import atexit; atexit.register(print, 'at exit')", 0),
    ],
)  # fmt: skip
def test_ends_are_those_of_a_new_process(modules, tmp_path, code, status):
    (modules / "end.py").write_text(code)
    with WarmProcesses([]) as warm:
        mine, its = (ended(way, tmp_path, "end") for way in (warm, launching.FRESH))
    assert mine[0] == its[0] == status
    assert mine[1].splitlines()[-1:] == its[1].splitlines()[-1:]


def test_a_worker_that_cannot_fork_leaves_it_to_new_processes(modules, tmp_path):
    (modules / "starts_a_thread.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=[60], daemon=True).start()"
    )
    (modules / "look.py").write_text(LOOK)
    with WarmProcesses(["starts_a_thread"]) as warm:
        assert ended(warm, tmp_path, "look")[0] == 0
        assert warm.worker is None
        assert warm.reason == "2 threads run"


def test_a_child_holds_the_locks_that_it_is_given(modules, tmp_path):
    (modules / "wait.py").write_text("import time; time.sleep(60)")
    lock = Lock.take(tmp_path / "a.lock")
    with WarmProcesses([]) as warm, (tmp_path / "output.txt").open("wb") as output:
        process = warm.start([*PYTHON, "wait"], output=output, environment=os.environ, inherited=[lock.number])
        lock.release()
        assert held(tmp_path / "a.lock")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert not held(tmp_path / "a.lock")


def test_a_study_runs_from_a_worker(tmp_path):
    _, trials = plan(tmp_path / "file")
    with WarmProcesses([]) as warm:
        found = run(trials, tmp_path, Resources(jobs=2), print, fake_module(**{"random-n2-s0": "fail"}), processes=warm)
        assert warm.worker is not None
    assert counts(found) == {"done": 4, "failed": 1}
    assert found["finetune-data-random-n2-s0"].error == "loss is NaN in epoch 3"


def runner_until_begun(folder, trial, modes):
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(folder), json.dumps(modes)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (folder / trial.folder / "begun").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


def gone(pid):
    """Whether a process ends within a while; of one that nobody waits for, /proc says so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if stat(pid)[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_killed_runner_leaves_forked_trainings_running_and_waits_for_them(tmp_path):
    _, trials = plan(tmp_path / "file")
    process = runner_until_begun(tmp_path, trials[2], {"encoder-n2-s0": "brief"})
    worker = int(stat((tmp_path / trials[2].folder / "begun").read_text(encoding="utf-8"))[1])
    process.kill()
    process.wait()
    assert states(tmp_path, trials)[trials[2].id].name == "running"
    assert gone(worker)
    said = []
    with study_lock(tmp_path):
        found = run(trials, tmp_path, Resources(jobs=2), said.append, fake_module())
    assert counts(found) == {"done": 5}
    assert any("still running from an earlier start" in line for line in said)
    assert [len(starts(tmp_path, trial)) for trial in trials] == [1] * 5


def stat(pid):
    """State, parent and so on of a process."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def test_a_stopped_runner_stops_forked_trainings(tmp_path):
    _, trials = plan(tmp_path / "file")
    process = runner_until_begun(tmp_path, trials[1], {"random-n2-s0": "slow"})
    training = int((tmp_path / trials[1].folder / "begun").read_text(encoding="utf-8"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0
    assert gone(training)
    assert states(tmp_path, trials)[trials[1].id].name == "stopped"


def test_a_killed_worker_costs_no_training(tmp_path):
    _, trials = plan(tmp_path / "file", seeds=[0])
    said = []

    def say(text):
        said.append(text)
        if "random" in text and "started" in text:
            warm.worker.process.kill()

    with WarmProcesses([]) as warm:
        found = run(trials, tmp_path, Resources(jobs=3), say, fake_module(**{"random-n2-s0": "brief"}), processes=warm)
    assert counts(found) == {"done": 3}
    assert [len(starts(tmp_path, trial)) for trial in trials] == [1] * 3


def test_the_worker_imports_what_the_bundles_of_a_study_run():
    bundle = content()["finetune"]["config"]
    with started_from([bundle]) as warm:
        assert {"monai.bundle", "segxfer3d.training.optimization", "segxfer3d.networks.genesis_unet"} <= set(
            warm.modules
        )
        assert warm.worker is None  # nothing is started before it is needed
    with started_from([bundle], fresh=True) as fresh:
        assert fresh is launching.FRESH


@pytest.mark.slow
@pytest.mark.parametrize("amp", [False, True])
def test_a_forked_training_is_that_of_a_new_process_bit_by_bit(tmp_path, amp):
    small = {"width": 2, "patch_size": [16, 16, 8], "batch_size": 2, "phantom_patients": 8, "device": "cpu"}
    small |= {"amp": amp}
    folders = [tmp_path / way for way in ("warm", "fresh")]
    for folder in folders:
        _, trials = plan(tmp_path / "file", common=small, seeds=[0])
        with started_from((trial.config for trial in trials), fresh=folder.name == "fresh") as way:
            found = run(trials, folder, Resources(threads=2), print, processes=way)
            assert counts(found) == {"done": 3}
            assert getattr(way, "reason", "") == ""  # libraries' own threads are no reason not to fork
    for trial in trials:
        models = [(folder / trial.folder / "model.pt").read_bytes() for folder in folders]
        assert models[0] == models[1]
        runs = [json.loads((folder / trial.folder / "run.json").read_text(encoding="utf-8")) for folder in folders]
        assert runs[0]["command"][0] == runs[1]["command"][0]
        assert runs[0]["versions"] == runs[1]["versions"]
