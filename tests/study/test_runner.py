import json
import os
import signal
import subprocess
import sys
import time

import pytest

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.study import grid
from segxfer3d.study.runner import Resources, counts, run, run_one, study_lock
from segxfer3d.study.slots import Slots, visible_gpus
from segxfer3d.study.states import states
from segxfer3d.study.trials import read_trials
from tests.study.studies import ROOT, fake, plan, starts

# a runner of its own, to be killed: FOLDER, then modes as JSON
RUNNER = """
import json, sys
from pathlib import Path
from segxfer3d.study.runner import Resources, run, study_lock
from tests.study.studies import fake, plan
folder = Path(sys.argv[1])
with study_lock(folder):
    run(plan(folder / "file")[1], folder, Resources(jobs=2), print, fake(**json.loads(sys.argv[2])))
"""


def run_here(folder, trials, jobs=2, **modes):
    said = []
    with study_lock(folder):
        found = run(trials, folder, Resources(jobs=jobs), said.append, fake(**modes))
    return found, said


def runner_until_begun(folder, trial, modes):
    """Start a runner, wait until the trial's training has begun; gives the process."""
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(folder), json.dumps(modes)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (folder / trial.folder / "begun").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_every_trial_runs_once(tmp_path):
    _, trials = plan(tmp_path / "file")
    found, said = run_here(tmp_path, trials)
    assert counts(found) == {"done": 5}
    assert any(line.startswith("[5/5]") for line in said)
    assert [starts(tmp_path, trial) for trial in trials] == [["resume False"]] * 5
    again, said = run_here(tmp_path, trials)
    assert again == found
    assert said == []
    assert [len(starts(tmp_path, trial)) for trial in trials] == [1] * 5


def test_a_failure_stops_nothing_else_and_is_tried_again(tmp_path):
    _, trials = plan(tmp_path / "file")
    found, said = run_here(tmp_path, trials, **{"random-n2-s0": "fail"})
    assert counts(found) == {"done": 4, "failed": 1}
    name = "finetune-data-random-n2-s0"
    assert found[name].error == "loss is NaN in epoch 3"
    assert any(f"{name}: failed: loss is NaN" in line for line in said)
    record = json.loads((tmp_path / "finetune" / "data-random-n2-s0" / "failed.json").read_text(encoding="utf-8"))
    assert record["returncode"] == 1
    assert states(tmp_path, trials) == found
    found, _ = run_here(tmp_path, trials)
    assert counts(found) == {"done": 5}
    assert [starts(tmp_path, trial) for trial in trials][1] == ["resume False", "resume True"]
    assert not (tmp_path / "finetune" / "data-random-n2-s0" / "failed.json").exists()


def test_what_needs_a_failed_pretraining_is_blocked(tmp_path):
    _, trials = plan(tmp_path / "file")
    found, _ = run_here(tmp_path, trials, pretrain="fail")
    assert counts(found) == {"failed": 1, "done": 2, "blocked": 2}
    assert "needs pretrain-genesis-" in found["finetune-data-encoder-n2-s0"].error
    assert states(tmp_path, trials) == found
    with pytest.raises(InputError, match="which is failed"):
        run_one("finetune-data-encoder-n2-s0", trials, tmp_path, Resources(), fake())
    assert counts(run_here(tmp_path, trials)[0]) == {"done": 5}


def test_a_killed_runner_repeats_nothing_and_waits_for_what_it_left_running(tmp_path):
    _, trials = plan(tmp_path / "file")
    process = runner_until_begun(tmp_path, trials[2], {"encoder-n2-s0": "brief"})
    process.kill()
    process.wait()
    assert states(tmp_path, trials)[trials[2].id].name == "running"
    found, said = run_here(tmp_path, trials)
    assert counts(found) == {"done": 5}
    assert any("still running from an earlier start" in line for line in said)
    assert [len(starts(tmp_path, trial)) for trial in trials] == [1] * 5


def test_a_stopped_runner_stops_its_trainings_and_goes_on_with_them(tmp_path):
    _, trials = plan(tmp_path / "file")
    process = runner_until_begun(tmp_path, trials[1], {"random-n2-s0": "slow"})
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0
    before = states(tmp_path, trials)
    assert before[trials[1].id].name == "stopped"
    assert not any(state.name == "failed" for state in before.values())
    assert counts(run_here(tmp_path, trials)[0]) == {"done": 5}
    assert starts(tmp_path, trials[1]) == ["resume False", "resume True"]
    done = [trial for trial in trials if before[trial.id].name == "done"]
    assert [len(starts(tmp_path, trial)) for trial in done] == [1] * len(done)


def test_a_training_that_dies_under_another_runner_is_gone_on_with(tmp_path):
    _, trials = plan(tmp_path / "file")
    process = runner_until_begun(tmp_path, trials[1], {"random-n2-s0": "slow"})
    process.kill()
    process.wait()
    os.kill(int((tmp_path / trials[1].folder / "begun").read_text(encoding="utf-8")), signal.SIGKILL)
    assert counts(run_here(tmp_path, trials)[0]) == {"done": 5}
    assert starts(tmp_path, trials[1]) == ["resume False", "resume True"]


def test_two_studies_in_one_folder_are_refused(tmp_path):
    with study_lock(tmp_path), pytest.raises(InputError, match="another study is being run"), study_lock(tmp_path):
        pass
    with study_lock(tmp_path, shared=True):
        with study_lock(tmp_path, shared=True):
            pass
        with pytest.raises(InputError, match="another study is being run"), study_lock(tmp_path):
            pass


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("done.json", "{"), ("done.json", "[]"), ("metrics.jsonl", '{"epoch": 1}\n{"epo'), ("cases.csv", "case\n"),
        ("run.json", ""),
    ],
)  # fmt: skip
def test_a_damaged_file_of_a_finished_run_is_said_and_nothing_is_overwritten(tmp_path, name, content):
    _, trials = plan(tmp_path / "file")
    run_here(tmp_path, trials)
    path = tmp_path / trials[1].folder / name
    path.write_text(content)
    found, _ = run_here(tmp_path, trials)
    assert counts(found) == {"done": 4, "damaged": 1}
    assert f"{path}: damaged" in found[trials[1].id].error
    assert path.read_text(encoding="utf-8") == content
    assert len(starts(tmp_path, trials[1])) == 1


def test_a_damaged_pretraining_blocks_what_starts_from_it(tmp_path):
    _, trials = plan(tmp_path / "file")
    run_one(trials[0].id, trials, tmp_path, Resources(), fake())
    (tmp_path / trials[0].folder / "model.pt").write_bytes(b"")
    assert counts(run_here(tmp_path, trials)[0]) == {"damaged": 1, "done": 2, "blocked": 2}


def test_a_full_disk_is_a_failure_that_the_next_start_goes_on_from(tmp_path, monkeypatch):
    _, trials = plan(tmp_path / "file")
    write_text = files.write_text

    def full(path, text):
        if path.name == "failed.json" or "s1" in str(path):
            raise InputError(f"{path} could not be saved ([Errno 28] No space left on device)")
        write_text(path, text)

    monkeypatch.setattr(files, "write_text", full)
    found, _ = run_here(tmp_path, trials, **{"random-n2-s0": "full"})
    assert counts(found) == {"done": 2, "failed": 3}
    assert "epoch-00002.pt could not be saved ([Errno 28]" in found["finetune-data-random-n2-s0"].error
    assert "could not be started" in found["finetune-data-random-n2-s1"].error
    monkeypatch.undo()
    assert counts(states(tmp_path, trials)) == {"done": 2, "stopped": 1, "waiting": 2}
    assert counts(run_here(tmp_path, trials)[0]) == {"done": 5}


def test_a_training_that_is_killed_or_leaves_nothing_has_failed(tmp_path):
    _, trials = plan(tmp_path / "file", seeds=[0])

    def launch(trial, knobs):
        if trial.arm == "random":
            return [sys.executable, "-I", "-S", "-c", "import os; os.kill(os.getpid(), 9)"]
        return [sys.executable, "-I", "-S", "-c", ""] if trial.kind == "pretrain" else ["no-such-program"]

    found = run(trials, tmp_path, Resources(), lambda _: None, launch)
    assert found["finetune-data-random-n2-s0"].error == "killed by SIGKILL; was memory short?"
    assert "exit status 0 and without done.json" in found[trials[0].id].error
    assert found["finetune-data-encoder-n2-s0"].name == "blocked"


def test_single_trials_run_for_workflow_managers(tmp_path, monkeypatch):
    study, trials = plan(tmp_path / "file")
    grid.write(study, trials, tmp_path)
    read = read_trials(tmp_path)
    with pytest.raises(InputError, match="which is waiting"):
        run_one("finetune-data-encoder-n2-s0", read, tmp_path, Resources(), fake())
    with pytest.raises(InputError, match="no trial 'x'"):
        run_one("x", read, tmp_path, Resources(), fake())
    for trial in read:
        assert run_one(trial.id, read, tmp_path, Resources(), fake()).name == "done"
        assert run_one(trial.id, read, tmp_path, Resources(), fake()).name == "done"
        assert len(starts(tmp_path, trial)) == 1
    assert grid.check_folder(study, trials, tmp_path) == []
    monkeypatch.setattr("segxfer3d.study.runner.code_version_of", lambda _: "other")
    with pytest.raises(InputError, match="was planned with code version"):
        run_one(read[0].id, read, tmp_path, Resources(), fake())


def test_trainings_share_gpus_by_slots(tmp_path):
    slots = Slots(["0", "GPU-ab/1"], per_gpu=2, folder=tmp_path / "slots")
    taken = [slots.take() for _ in range(4)]
    assert [slot.gpu for slot in taken] == ["0", "GPU-ab/1", "0", "GPU-ab/1"]
    assert Slots(["0"], 2, tmp_path / "slots").take() is None
    taken[2].lock.release()
    assert slots.take().gpu == "0"
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "1, 3"}) == ["1", "3"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []


def test_trainings_see_their_gpu_only(tmp_path):
    _, trials = plan(tmp_path / "file")
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1], 'gpu').write_text(os.environ['CUDA_VISIBLE_DEVICES'])"

    def launch(trial, knobs):
        return [sys.executable, "-I", "-S", "-c", code, knobs["output_dir"]]

    slots = Slots(["7"], folder=tmp_path / "slots")
    run([trials[0]], tmp_path, Resources(slots=slots), lambda _: None, launch)
    assert (tmp_path / trials[0].folder / "gpu").read_text(encoding="utf-8") == "7"
    assert slots.take() is not None
