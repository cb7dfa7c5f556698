"""Damaged files that are no images: data sets' lists, studies, splits, options, models, states, run folders."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from torture_folders import SLOW, Files, Overrides, Stopped
from torture_jobs import TINY, TinyJob, search_content, study_content
from torture_kills import Bench

from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, about, find_cases
from segxfer3d.data.named_parts import name_cases
from segxfer3d.data.split_file import read_split_file
from segxfer3d.inference.model import load_model
from segxfer3d.report.collect import collect
from segxfer3d.report.page import write_report
from segxfer3d.report.results import results
from segxfer3d.run.bundle import run_bundle
from segxfer3d.study.grid import expand, resolved
from segxfer3d.study.search_file import read_search
from segxfer3d.study.states import states
from segxfer3d.study.study_file import read_study
from segxfer3d.study.trials import read_trials
from segxfer3d.weights.summary import summarize

_SLOW = 6  # one of so many trials is read by what takes seconds


def _slow(place: Path) -> bool:
    return int(place.name.rpartition("-")[2]) % _SLOW == 0


def _cases(place: Path) -> None:
    """What a job does with the list of a data set."""
    case_set = find_cases(place, Request(dims=3, skip_bad=False))
    about(case_set)
    check(case_set, case_set.labeled, progress=False, identify=True)


def _study(place: Path) -> None:
    study = read_study(next(place.glob("study.*")))
    resolved(study)
    expand(study)


def _search(place: Path) -> None:
    plan = read_search(place / "search.json")
    plan.identity()
    asked = optuna.create_study().ask()
    for name, values in plan.space.items():
        values.suggest(asked, name)


def _split(place: Path) -> None:
    file = read_split_file(next(place.glob("split.*")))
    case_set = find_cases(place, Request(dims=3))
    name_cases(file, case_set.cases, labels=True)
    file.of_fold(0 if file.folded else None)


def _report(place: Path) -> None:
    """What the report, `study status` and a study that is started again read."""
    if (place / "trials.json").exists():
        states(place, read_trials(place, to_run=True))
    if _slow(place):
        write_report(place, place / "report.html")
        return
    found = collect(place)
    results(found, {}, None)


def _model(place: Path) -> None:
    path = place / "model.pt"
    summarize(path)
    model = load_model(path)
    model.predict(place / "volume.nii.gz")


def _weights(place: Path) -> None:
    run_bundle(
        "genesis_finetune", output_dir=str(place / "run"), init="encoder", checkpoint=str(place / "model.pt"),
        dataset_dir=str(place / "set"), **{**TINY, "max_epochs": 1},
    )  # fmt: skip


def files_of(root: Path, jobs: Sequence[TinyJob], bench: Bench) -> list[Files]:
    """The kinds, from data and finished jobs below ``root`` (:func:`torture_jobs.jobs_of`)."""
    data, named = root / "set", {job.name: job for job in jobs}

    def dataset(place: Path) -> None:
        for name in ("imagesTr", "labelsTr"):
            shutil.copytree(data / name, place / name)

    def decathlon(place: Path) -> None:
        dataset(place)
        cases = sorted(path.name for path in (place / "imagesTr").iterdir())
        content = {
            "name": "set", "tensorImageSize": "3D", "modality": {"0": "CT"}, "numTraining": len(cases), "numTest": 0,
            "labels": {"0": "background", "1": "lesion"},
            "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in cases], "test": [],
        }  # fmt: skip
        (place / "dataset.json").write_text(json.dumps(content), encoding="utf-8")

    def nnunet(place: Path) -> None:
        dataset(place)
        for path in sorted((place / "imagesTr").iterdir()):
            path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
        content = {
            "channel_names": {"0": "CT"}, "labels": {"background": 0, "lesion": 1}, "numTraining": 5,
            "file_ending": ".nii.gz",
        }  # fmt: skip
        (place / "dataset.json").write_text(json.dumps(content), encoding="utf-8")

    def one_json(name: str, content: dict[str, Any]) -> Callable[[Path], None]:
        def make(place: Path) -> None:
            (place / name).write_text(json.dumps(content, indent=1), encoding="utf-8")

        return make

    def split(name: str) -> Callable[[Path], None]:
        def make(place: Path) -> None:
            dataset(place)
            parts = {"train": ["p0", "p1", "p2"], "validation": ["p3"], "test": ["p4"]}
            rows = [f"{case},{part}" for part, cases in parts.items() for case in cases]
            text = json.dumps(parts) if name.endswith("json") else "\n".join(["case,part", *rows]) + "\n"
            (place / name).write_text(text, encoding="utf-8")

        return make

    def finished(place: Path) -> None:
        shutil.copytree(root / "studied", place, dirs_exist_ok=True)
        for path in [*place.rglob("checkpoints"), *place.rglob("tensorboard")]:
            shutil.rmtree(path)

    def model(place: Path) -> None:
        tuned = next((root / "studied" / "finetune").rglob("model.pt"))
        shutil.copy(tuned, place / "model.pt")
        shutil.copy(data / "imagesTr" / "p0.nii.gz", place / "volume.nii.gz")

    def pretrained(place: Path) -> None:
        shutil.copy(root / "pretrained" / "model.pt", place / "model.pt")
        os.symlink(data, place / "set")  # noqa: PTH211

    def nothing(place: Path) -> None:
        os.symlink(data, place / "set")  # noqa: PTH211

    transfer = Files("model.pt, transfer", pretrained, ["model.pt"], _weights)
    transfer.every = SLOW
    records = ("*.json", "*.jsonl", "*.csv")
    return [
        Files("dataset.json, Decathlon", decathlon, ["dataset.json"], _cases),
        Files("dataset.json, nnU-Net", nnunet, ["dataset.json"], _cases),
        Files("study file, JSON", one_json("study.json", study_content(data)), ["study.json"], _study),
        Files("study file, YAML", one_json("study.yaml", study_content(data)), ["study.yaml"], _study),
        Files("search file", one_json("search.json", search_content(data)), ["search.json"], _search),
        Files("split file, JSON", split("split.json"), ["split.json"], _split),
        Files("split file, table", split("split.csv"), ["split.csv"], _split),
        Overrides("options", nothing),
        Files("model.pt, prediction", model, ["model.pt"], _model),
        transfer,
        Files("study folder", finished, [*records, *(f"*/*/{name}" for name in (*records, "*.npz"))], _report),
        Stopped("states, pretraining", named["pretraining"], bench, ["checkpoints/*.pt"]),
        Stopped("states, fine-tuning", named["fine-tuning"], bench, ["checkpoints/*.pt"]),
        Stopped("run folder, pretraining", named["pretraining"], bench, records),
        Stopped("run folder, fine-tuning", named["fine-tuning"], bench, records),
    ]
