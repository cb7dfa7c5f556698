"""Volumes on disk: what a patch costs, what a training takes in memory, and how it grows."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import torch
from benchmark_timing import median_seconds
from benchmark_volumes import CUBE, train_step

from segxfer3d.augment.cubes import RandCubed
from segxfer3d.augment.patches import labeled_patches, training_patches
from segxfer3d.data.content_hash import voxels_hash
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, load_volume
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.cases import StoredCases
from segxfer3d.data.store.place import VolumeStore

PATCHES = 32
FINETUNE = {
    "recipe": "paper", "plan": "none", "init": "random", "label_fraction": 1.0, "validation_fraction": 0.0,
    "test_fraction": 0.0, "width": 2, "patch_size": [64, 64, 32], "max_epochs": 2, "steps_per_epoch": 40,
    "batch_size": 2, "progress": False, "device": "cpu",
}  # fmt: skip


def write_blocks(root: Path, count: int, shape: tuple[int, int, int], classes: int) -> Path:
    """CTs of true shape whose constant blocks compress to little, each with all classes, as a Decathlon folder."""
    rng = np.random.default_rng(0)
    pairs = []
    for part in ("imagesTr", "labelsTr"):
        (root / part).mkdir(parents=True)
    for number in range(count):
        image, label = np.full(shape, -900, dtype=np.int16), np.zeros(shape, dtype=np.uint8)
        for value in range(1, classes + 1):
            place = tuple(slice(start, start + 12) for start in (rng.integers(0, side - 12) for side in shape))
            image[place], label[place] = rng.integers(-500, 800), value
        pair = {"image": f"imagesTr/ct{number:03}.nii.gz", "label": f"labelsTr/ct{number:03}.nii.gz"}
        for key, array in (("image", image), ("label", label)):
            nibabel.save(nibabel.Nifti1Image(array, np.diag([0.7, 0.7, 2.5, 1])), root / pair[key])
        pairs.append(pair)
    names = {"0": "background", **{str(value): f"class {value}" for value in range(1, classes + 1)}}
    content = {"labels": names, "modality": {"0": "CT"}, "training": pairs, "test": []}
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def peak_of_finetuning(data: Path, place: Path) -> float:
    """GiB that a fine-tuning takes at most, from the first look at its files to the end; maps of files count."""
    words = [f"--{name}={value}" for name, value in FINETUNE.items()]
    command = [sys.executable, "-m", "segxfer3d.cli", "run", "genesis_finetune", "--dataset_dir", str(data)]
    process = subprocess.Popen(
        [*command, "--output_dir", str(place / "run"), "--store", str(place / "store"), *words],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{data}: the training ended with {status}")
    return used.ru_maxrss / 2**20


def store(options: argparse.Namespace) -> dict[str, float]:
    """A patch and a cube of a stored CT beside those of one in memory, their share of a training step at full width,
    and the peak memory of fine-tunings on few and on more CTs, with one class and with twenty (training alone: what is
    predicted of a whole case takes a volume a class on top)."""
    figures: dict[str, float] = {}
    shape = tuple(options.shape)
    few, more = options.cases
    with tempfile.TemporaryDirectory(prefix="segxfer3d-store-", dir=options.scratch) as folder:
        root = Path(folder)
        figures |= patch_seconds(write_blocks(root / "one", 1, shape, 3), root / "patches", options.width)
        for count, classes in ((few, 1), (more, 1), (few, 20)):
            data = write_blocks(root / f"d{count}_{classes}", count, shape, classes)
            peak = peak_of_finetuning(data, root / f"r{count}_{classes}")
            figures[f"peak_gib_of_{count}_cts_{classes}_classes"] = peak
    return figures


def patch_seconds(data: Path, place: Path, width: int) -> dict[str, float]:
    """Of one CT."""
    case_set = find_cases(data, Request(layout="", dims=3, task="segmentation"))
    (case,), preprocessing = case_set.cases, VolumePreprocessing()
    loaded = load_volume(case)
    assert loaded.label is not None
    identity = (voxels_hash(loaded.channels), voxels_hash([loaded.label]))
    cases = StoredCases(VolumeStore(place), case_set, preprocessing, {case.name: identity})
    cases.make([case], labels=True, kept=KeptVolumes(0), progress=False, needed=0)
    disk = cases.items([case], labels=True)
    memory = preprocessing.hold([case], case_set, labels=True, progress=False)
    ways = {
        "paper": labeled_patches(CUBE, foreground_share=0.5),
        "strong": training_patches(CUBE, foreground_share=0.33),
        "cube": RandCubed(CUBE),
    }
    figures: dict[str, float] = {}
    for name, patches in ways.items():
        seconds = median_seconds(
            lambda patches=patches: [patches(disk[0]) for _ in range(PATCHES)],  # type: ignore[misc]
            lambda patches=patches: [patches(memory[0]) for _ in range(PATCHES)],  # type: ignore[misc]
        )
        figures[f"{name}_milliseconds_from_the_store"] = seconds[0] / PATCHES * 1e3
        figures[f"{name}_milliseconds_from_memory"] = seconds[1] / PATCHES * 1e3
    torch.manual_seed(0)
    (step,) = median_seconds(train_step(width, amp=False, channels_last=True), repeats=1)
    figures["step_milliseconds_a_cube"] = step / 2 * 1e3
    figures["cube_over_step"] = figures["cube_milliseconds_from_the_store"] / figures["step_milliseconds_a_cube"]
    return figures
