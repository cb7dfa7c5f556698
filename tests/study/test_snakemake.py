"""A study through Snakemake: two jobs at a time, one of which crashes once."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from segxfer3d import cli
from segxfer3d.study.states import DONE, states
from segxfer3d.study.trials import read_trials
from tests.study.studies import BUNDLES, ROOT, content

# kills the first training that imports it, and no other: the file that it leaves says that one was killed
CRASH = """
import os, pathlib
try:
    pathlib.Path({mark!r}).touch(exist_ok=False)
except FileExistsError:
    pass
else:
    os._exit(1)
"""


@pytest.mark.slow
def test_two_jobs_one_of_which_crashes_once(tmp_path):
    mark = tmp_path / "crashed"
    (tmp_path / "crash_once.py").write_text(CRASH.format(mark=str(mark)))
    config = json.loads((BUNDLES / "genesis_finetune.json").read_text(encoding="utf-8"))
    config["imports"].append("$import crash_once")
    (tmp_path / "crashing_finetune.json").write_text(json.dumps(config))
    common = {"width": 2, "patch_size": [16, 16, 8], "batch_size": 2, "phantom_patients": 8}
    fine = {"config": str(tmp_path / "crashing_finetune.json"), "knobs": content()["finetune"]["knobs"]}
    (tmp_path / "study.json").write_text(json.dumps(content(common=common, finetune=fine, seeds=[0])))
    folder = tmp_path / "run"
    prepared = CliRunner().invoke(cli.cli, ["study", "prepare", str(tmp_path / "study.json"), "-o", str(folder)])
    assert prepared.exit_code == 0, prepared.output

    command = [sys.executable, "-m", "snakemake", "--snakefile", str(BUNDLES / "studies" / "Snakefile")]
    command += ["--directory", str(folder), "--cores", "2", "--keep-going", "--config", "trust=1"]  # its own bundle
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def run():
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

    result = run()
    assert result.returncode == 0, result.stderr[-3000:]
    assert mark.exists()
    assert "Trying to restart job" in result.stderr
    trials = read_trials(folder)
    assert {state.name for state in states(folder, trials).values()} == {DONE}
    # nothing runs twice, with and without Snakemake's own markers
    done = {trial.id: (folder / trial.folder / "done.json").stat().st_mtime_ns for trial in trials}
    assert "Nothing to be done" in run().stderr
    shutil.rmtree(folder / "snakemake")
    assert run().returncode == 0
    assert done == {trial.id: (folder / trial.folder / "done.json").stat().st_mtime_ns for trial in trials}
