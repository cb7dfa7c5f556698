"""The tiny jobs that are killed and run out of room, and what they leave, in a form that compares."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torture_start import forks
from torture_volumes import AFFINE, ct, label

from segxfer3d.cli import cli
from segxfer3d.data.io.nifti import write_nifti
from segxfer3d.run.bundle import run_bundle
from segxfer3d.study import launching

TINY: dict[str, Any] = {
    "width": 2, "patch_size": [16, 16, 8], "max_epochs": 2, "steps_per_epoch": 2, "batch_size": 2, "progress": False,
    "device": "cpu", "amp": False, "num_workers": 0,
}  # fmt: skip
_UNLIKE = ("log.txt", "output.txt", "events.out.tfevents", "search.db")  # their bytes tell the time
_TIMES = ("seconds", "started", "command", "overrides", "resume", "duration", "made", "written", "pid")


@dataclass(frozen=True)
class TinyJob:
    """A job.

    Attributes:
        name: of the kind of job, as the table has it.
        run: it, into a folder; told whether it goes on.
        alone: whether one of its processes may be killed alone and the end is the same; a search takes a training that
            was killed for one that its settings were too much for.
        resumes: whether it is told to go on, by ``--resume True``, where its folder holds a run.
    """

    name: str
    run: Callable[[Path, bool], None]
    resumes: bool = False
    alone: bool = True

    def again(self, folder: Path) -> None:
        """The same command once more, as a user gives it."""
        self.run(folder, self.resumes and (folder / "run.json").exists())


def write_data(root: Path, patients: int = 5) -> Path:
    """A data set of small volumes."""
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    for i in range(patients):
        write_nifti(root / "imagesTr" / f"p{i}.nii.gz", ct() + i, AFFINE)
        write_nifti(root / "labelsTr" / f"p{i}.nii.gz", label(), AFFINE)
    return root


def jobs_of(root: Path) -> list[TinyJob]:
    """The jobs, with the data, the pretrained model and the finished study that they need below ``root``, made here."""
    data = write_data(root / "set")
    knobs = {**TINY, "dataset_dir": str(data)}

    def pretrain(folder: Path, resume: bool) -> None:
        run_bundle("genesis_pretrain", output_dir=str(folder), resume=resume, **knobs)

    def finetune(folder: Path, resume: bool) -> None:
        more: dict[str, Any] = {
            "init": "encoder",
            "checkpoint": str(root / "pretrained" / "model.pt"),
            "validation_interval": 1,
        }
        run_bundle("genesis_finetune", output_dir=str(folder), resume=resume, **knobs, **more)

    study_file, search_file = root / "study.json", root / "search.json"
    study_file.write_text(json.dumps(study_content(data)), encoding="utf-8")
    search_file.write_text(json.dumps(search_content(data)), encoding="utf-8")

    def study(folder: Path, resume: bool) -> None:
        command("study", "run", str(study_file), "--output", str(folder), "--threads", "1")

    def tune(folder: Path, resume: bool) -> None:
        command("tune", str(search_file), "--output", str(folder), "--threads", "1")

    def report(folder: Path, resume: bool) -> None:
        folder.mkdir(exist_ok=True)
        command("report", str(root / "studied"), "--output", str(folder / "report.html"))

    pretrain(root / "pretrained", False)
    study(root / "studied", False)
    return [
        TinyJob("pretraining", pretrain, True), TinyJob("fine-tuning", finetune, True), TinyJob("study", study),
        TinyJob("tune", tune, alone=False), TinyJob("report", report),
    ]  # fmt: skip


def command(*words: str) -> None:
    """A command of ``segxfer3d`` in this process; trainings are forked from it.

    Raises:
        InputError: as it does.
        SystemExit: it ended with a status.
    """
    launching.started_from = forks
    cli(list(words), standalone_mode=False)


def study_content(data: Path) -> dict[str, Any]:
    """A study of two arms and one pretraining."""
    more = {"max_epochs": 1, "steps_per_epoch": 2, "validation_interval": 1}
    return {
        "name": "tortured",
        "description": "Two arms.",
        "parameters": {"epochs": {"help": "of fine-tuning", "default": 1}},
        "common": {
            "dataset_dir": str(data), "width": 2, "patch_size": [16, 16, 8], "batch_size": 2, "device": "cpu",
            "amp": False, "num_workers": 0,
        },
        "pretrain": {"genesis": {"config": "genesis_pretrain", "knobs": more}},
        "finetune": {
            "config": "genesis_finetune", "knobs": {**more, "recipe": "paper", "max_epochs": "{epochs}"},
        },
        "arms": {"random": {"init": "random"}, "encoder": {"init": "encoder", "pretrain": "genesis"}},
        "budgets": [{"label_count": 2}],
        "seeds": [0],
        "margin": 2.0,
    }  # fmt: skip


def search_content(data: Path) -> dict[str, Any]:
    """A search of two trials."""
    return {
        "name": "searched",
        "description": "Two trials.",
        "config": "genesis_pretrain",
        "knobs": {
            **{key: value for key, value in TINY.items() if key != "progress"}, "dataset_dir": str(data),
            "max_epochs": 1, "validation_interval": 1,
        },
        "search": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "optimizer_name": {"choices": ["adam", "sgd"]}},
        "metric": "validation_loss",
        "direction": "minimize",
        "trials": 2,
        "seed": 0,
    }  # fmt: skip


def left(folder: Path) -> dict[str, str]:
    """What a job left: each file below its folder to a fingerprint that times and places do not change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[f"{name}/"] = ""
        elif "events.out.tfevents" in path.name:
            found[f"{path.parent.relative_to(folder).as_posix()}/events"] = ""
        else:
            found[name] = fingerprint(path, str(folder))
    return found


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is missing, too much or different, in words."""
    return [
        f"{name} {'is missing' if name not in found else 'is left over' if name not in expected else 'differs'}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]


def fingerprint(path: Path, folder: str = "") -> str:
    """Of a file that a job left in a folder, which times and the place of that folder do not change."""
    if path.name == "search.db":
        return _hash(_told(path))
    if any(path.name.startswith(name) for name in _UNLIKE):
        return ""
    content = path.read_bytes()
    if path.suffix == ".pt":
        return _hash(_plain(torch.load(io.BytesIO(content), weights_only=True)), folder)
    text = content.decode("utf-8", "replace")
    if path.suffix in (".json", ".jsonl"):
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        return _hash([_timeless(json.loads(line)) for line in lines], folder)
    if path.suffix == ".csv" and "seconds" in text.partition("\n")[0]:
        rows = list(csv.DictReader(io.StringIO(text)))
        return _hash([_timeless(row) for row in rows], folder)
    return _hash(content.hex()) if "\ufffd" in text else _hash(text, folder)


def _hash(value: Any, folder: str = "") -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.replace(folder, "@").encode("utf-8", "replace") if folder else text.encode()).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(part) for name, part in value.items() if name not in _TIMES}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        flat = value.detach().contiguous().reshape(-1)
        whole = flat.view(torch.uint8) if flat.dtype != torch.bool and flat.numel() else flat
        return [str(value.dtype), list(value.shape), hashlib.sha256(whole.numpy().tobytes()).hexdigest()]
    if isinstance(value, dict):
        return [[repr(key), _plain(part)] for key, part in value.items() if key not in _TIMES]
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else repr(value)


def _told(path: Path) -> list[Any]:
    """What a search's storage knows of its finished trials: number, value and parameters."""
    copy = path.with_name("copy-of-search.db")
    shutil.copyfile(path, copy)
    try:
        with sqlite3.connect(copy) as base:
            rows = base.execute(
                "SELECT t.number, v.value, p.param_name, p.param_value FROM trials t JOIN trial_values v USING "
                "(trial_id) JOIN trial_params p USING (trial_id) WHERE t.state = 'COMPLETE' ORDER BY 1, 3"
            ).fetchall()
        base.close()
    finally:
        os.unlink(copy)  # noqa: PTH108
    return rows
