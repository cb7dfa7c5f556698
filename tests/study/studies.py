"""What the tests of the study runner share: small studies, and a launcher of fake trainings."""

import json
import sys
from pathlib import Path

from segxfer3d.study.grid import expand
from segxfer3d.study.grid import write as write_grid
from segxfer3d.study.runner import Resources, run
from segxfer3d.study.study_file import read_study

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
FAKE = Path(__file__).with_name("fake_run.py")


def content(**changes):
    """A study of two arms, two seeds and one budget on generated data."""
    return {
        "name": "small",
        "pretrain": {
            "genesis": {
                "config": str(BUNDLES / "genesis_pretrain.json"),
                "knobs": {"max_epochs": 2, "steps_per_epoch": 2, "validation_interval": 1},
            }
        },
        "finetune": {
            "config": str(BUNDLES / "genesis_finetune.json"),
            "knobs": {"recipe": "paper", "max_epochs": 2, "steps_per_epoch": 2, "validation_interval": 1},
        },
        "arms": {"random": {"init": "random"}, "encoder": {"init": "encoder", "pretrain": "genesis"}},
        "budgets": [{"label_count": 2}],
        "seeds": [0, 1],
        **changes,
    }


def write(folder, **changes):
    """A study file."""
    path = Path(folder) / "study.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(**changes)))
    return path


def plan(folder, **changes):
    """The study, and its trials."""
    study = read_study(write(folder, **changes))
    return study, expand(study)


def ran(folder, **changes):
    """A study's folder after its trials, with fake trainings."""
    study, trials = plan(folder / "file", **changes)
    (folder / "study").mkdir()
    write_grid(study, trials, folder / "study")
    run(trials, folder / "study", Resources(jobs=2), lambda _: None, fake())
    return folder / "study"


def fake(**modes):
    """A launcher; ``modes`` are by a part of the trial's id."""

    def launch(trial, knobs):
        mode = next((mode for part, mode in modes.items() if part in trial.id), "")
        return [sys.executable, "-I", "-S", str(FAKE), knobs["output_dir"], str(knobs["resume"]), mode]

    return launch


def fake_module(**modes):
    """As :func:`fake`, as a module, which a worker can run."""

    def launch(trial, knobs):
        mode = next((mode for part, mode in modes.items() if part in trial.id), "")
        return [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "tests.study.fake_run",
            knobs["output_dir"],
            str(knobs["resume"]),
            mode,
        ]

    return launch


def starts(folder, trial):
    """How often a trial was started, and whether to go on."""
    path = Path(folder) / trial.folder / "starts.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
