"""Programs that train from a store: their memory, and what they wait.

As a program it is what they start: ``python benchmark_store_runs.py epoch DATA STORE CUBES`` or ``hold STORE``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from benchmark_store_processes import own_memory, peak_of, shares_of

from segxfer3d.data.store.entry import entry_array

CUBE = (64, 64, 32)
ENTRIES, BATCH = 1000, 6  # volumes of an epoch, cubes of a batch
PARTS = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the epoch, at which memory is looked at
PROGRAMS = 2
FINETUNE = {
    "recipe": "paper", "plan": "none", "init": "random", "label_fraction": 1.0, "validation_fraction": 0.05,
    "test_fraction": 0.05, "width": 2, "patch_size": "[64,64,32]", "max_epochs": 2, "steps_per_epoch": 10,
    "validation_interval": 2, "batch_size": 2, "amp": False, "progress": False, "device": "cpu",
}  # fmt: skip


def peak_of_finetuning(data: Path, store: Path, place: Path) -> float:
    """GiB of a fine-tuning, from the first look at its files to the end."""
    words = [f"--{name}={value}" for name, value in FINETUNE.items()]
    command = [sys.executable, "-m", "segxfer3d.cli", "run", "genesis_finetune", "--dataset_dir", str(data)]
    command += ["--output_dir", str(place), "--store", str(store), *words]
    return peak_of(command, os.environ, cwd=data)


def epoch_of_cubes(data: Path, store: Path, *, cubes: int, step: float) -> dict[str, float]:
    """Memory along an epoch of pretraining, and what its batches wait for data.

    Args:
        data: whose volumes.
        store: where they are.
        cubes: of each volume.
        step: CPU milliseconds of a training step on a batch.
    """
    figures: dict[str, float] = json.loads(_started("epoch", data, store, cubes).communicate()[0])
    figures["epoch_waiting_percent_of_a_step"] = figures["epoch_batch_cpu_milliseconds"] / step * 100
    return figures


def shared_memory(store: Path) -> dict[str, float]:
    """Of programs that have looked at all images of a store, beside that of one which is alone."""
    figures: dict[str, float] = {}
    for count in (1, PROGRAMS):
        programs = [_started("hold", store) for _ in range(count)]
        for program in programs:
            assert program.stdout is not None
            program.stdout.readline()
        shares = [shares_of(program.pid) for program in programs]
        for program in programs:
            program.communicate("\n")
        whose = "of_a_program_alone" if count == 1 else f"of_each_of_{count}_programs"
        figures |= {f"{key}_gib_{whose}": statistics.fmean(share[key] for share in shares) for key in shares[0]}
    return figures


def _started(what: str, *further: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", __file__, what, *map(str, further)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _items(data: Path, store: Path):  # type: ignore[no-untyped-def]
    """The images of a data set, which are made where they are missing."""
    from segxfer3d.data.check import check
    from segxfer3d.data.layouts import Request, find_cases
    from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
    from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
    from segxfer3d.data.store.cases import StoredCases
    from segxfer3d.data.store.place import VolumeStore

    case_set = find_cases(data, Request(layout="", dims=3, task="segmentation"))
    report = check(case_set, progress=False, identify=True)
    cases = StoredCases(VolumeStore(store), case_set, VolumePreprocessing(), report.identities)
    cases.make(report.good, labels=False, kept=KeptVolumes(0), progress=False, needed=0)
    return cases.items(report.good, labels=False)


def _epoch(data: Path, store: Path, cubes: int) -> dict[str, float]:
    import torch
    from monai.transforms import Compose

    from segxfer3d.augment.cubes import CropRule, RandCubed
    from segxfer3d.augment.genesis_corruption import GenesisCorruptiond
    from segxfer3d.data.dataset import SeededDataset
    from segxfer3d.training.loaders import train_loader

    few = _items(data, store)
    items = few.part([number % len(few) for number in range(ENTRIES)])
    steps = Compose([RandCubed(CUBE, CropRule()), GenesisCorruptiond()])
    loader = train_loader(SeededDataset(items, steps, 0, ENTRIES * cubes), batch_size=BATCH, device=torch.device("cpu"))
    marks = {int(part * len(loader)): part for part in PARTS}
    figures, waited, batches = {}, [], iter(loader)
    busy = time.process_time()
    for number in range(1, len(loader) + 1):
        start = time.perf_counter()
        next(batches)
        waited.append(time.perf_counter() - start)
        if number in marks:
            figures[f"epoch_gib_at_{marks[number]:.0%}".replace("%", "_percent")] = own_memory()
    busy = time.process_time() - busy
    return figures | {
        "epoch_batch_cpu_milliseconds": busy / len(loader) * 1e3,
        "epoch_batch_wall_milliseconds": statistics.fmean(waited) * 1e3,
    }


def _hold(store: Path) -> None:
    """Look at every voxel of the images, and stay until somebody says something."""
    maps = [entry_array(entry, "image") for entry in sorted((store / "images").iterdir())]
    print(sum(float(image.sum(dtype=np.float64)) for image in maps), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[1] == "epoch":
        data, store, cubes = sys.argv[2:]
        print(json.dumps(_epoch(Path(data), Path(store), int(cubes))))
    else:
        _hold(Path(sys.argv[2]))
