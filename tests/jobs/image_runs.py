"""Runs of bundles of images, tiny, in this process."""

import csv
import json

from segxfer3d.run.bundle import run_bundle
from tests.jobs.volume_sets import BUNDLES

TINY = {
    "width": 2, "image_size": 16, "max_epochs": 2, "steps_per_epoch": 2, "batch_size": 4, "progress": False,
    "device": "cpu",
}  # fmt: skip


def run(name, folder, **overrides):
    values = {**TINY, **({"monitor_interval": 2} if name.endswith("_pretrain") else {}), **overrides}
    return run_bundle(BUNDLES / f"{name}.json", output_dir=str(folder), **values)


def finetune(folder, **overrides):
    return run("unet2d_finetune", folder, **{"label_count": 4, "init": "random", **overrides})


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def rows(folder):
    with (folder / "cases.csv").open() as file:
        return list(csv.DictReader(file))
