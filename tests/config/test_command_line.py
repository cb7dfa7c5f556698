"""``python -m monai.bundle run`` as a user types it: exit status, what is printed, where the trace is."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segxfer3d.config import short_errors
from segxfer3d.run.bundle import run_bundle
from tests.jobs.test_bad_volumes import BUNDLES, TINY, cut, image, pytestmark, write_dataset
from tests.run.test_processes import LIMIT
from tests.training.test_resume import assert_same_run

pytestmark = [*pytestmark, pytest.mark.slow]


def words(name, **knobs):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(BUNDLES / f"{name}.json")]
    return command + [word for key, value in knobs.items() for word in (f"--{key}", str(value))]


def run(command, limit=None):
    """Run a command; ``limit`` bytes are all that a file may take, as if the disk were full then."""
    lower = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, preexec_fn=lower)


def failed(result, message):
    """The error is short, and its whole trace is where it says."""
    lines = result.stderr.strip().splitlines()
    if lines[0].endswith("GHSA-873f-pvrv-4x83).") and "create_workflow" in lines[1]:
        lines = lines[2:]  # MONAI warns that a config is code
    assert result.returncode == 1, result.stderr
    assert len(lines) <= 4, result.stderr
    assert message in result.stderr
    assert lines[-1].startswith("full trace: ")
    trace = Path(lines[-1].removeprefix("full trace: "))
    assert "Traceback (most recent call last)" in trace.read_text(encoding="utf-8")
    return trace


def test_errors_are_short(tmp_path):
    root = write_dataset(tmp_path / "set")
    knobs = {**TINY, "dataset_dir": root, "output_dir": tmp_path / "run", "init": "random"}
    failed(run(words("genesis_finetune", **knobs, lable_count=1)), "did you mean --label_count?").unlink()
    failed(run([*words("genesis_finetune", **knobs), "--seed", "1", "--seed=2"]), "--seed: given twice").unlink()
    failed(run(words("genesis_finetune", **knobs, seed=-1)), "seed: expected a whole number").unlink()
    cut(image(root))
    failed(run(words("genesis_pretrain", **{k: v for k, v in knobs.items() if k != "init"})), "p1.nii.gz: ").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    # nothing of this package runs before MONAI has read the config
    result = run(words("nowhere"))
    assert result.returncode == 1
    assert "Cannot find the config file" in result.stderr.splitlines()[-1]


def heed_interrupts():
    """What runs in the background of a shell ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_then_a_full_disk_then_space(tmp_path):
    knobs = {**TINY, "dataset_dir": str(write_dataset(tmp_path / "set")), "init": "random", "max_epochs": 30}
    knobs |= {"keep": "best", "validation_interval": 20}
    run_bundle(BUNDLES / "genesis_finetune.json", output_dir=str(tmp_path / "whole"), **knobs)
    folder = tmp_path / "run"
    command = words("genesis_finetune", **knobs, output_dir=folder, num_workers=2)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, process_group=0,
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    deadline = time.time() + LIMIT
    while not (folder / "checkpoints" / "epoch-00001.pt").exists() and time.time() < deadline:
        assert process.poll() is None, "the run ended by itself"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the loader processes too
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert (
        stderr.splitlines()[-1] == f"stopped; --output_dir {folder} --resume True goes on from the last training state"
    )
    assert len(stderr.strip().splitlines()) <= 4, stderr
    states = sorted(path.name for path in (folder / "checkpoints").glob("epoch-*.pt"))
    limit = (folder / "checkpoints" / states[-1]).stat().st_size + 10_000
    result = run([*command, "--resume", "True"], limit)  # a state with the best weights in it is larger
    assert failed(result, "epoch-00020.pt could not be saved") == folder / "log.txt"
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["epoch-00018.pt", "epoch-00019.pt"]
    result = run([*command, "--resume", "True"])
    assert result.returncode == 0, result.stderr
    assert_same_run(tmp_path / "whole", folder)


def test_stopped_text_without_a_run(capsys):
    with pytest.raises(SystemExit, match="130"):
        short_errors.show_error(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "stopped\n"
