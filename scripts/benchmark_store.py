"""Volumes on disk: what a patch costs, what trainings take in memory, and what programs share."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmark_step import CUBE, train_step
from benchmark_store_data import write_blocks
from benchmark_store_old import old_memory, old_patch_milliseconds
from benchmark_store_runs import BATCH, epoch_of_cubes, peak_of_finetuning, shared_memory
from benchmark_timing import median_seconds

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.cubes import RandCubed
from segxfer3d.augment.patches import labeled_patches, training_patches
from segxfer3d.data.content_hash import voxels_hash
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, load_volume
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.cases import StoredCases
from segxfer3d.data.store.place import VolumeStore

PATCHES = 32
MANY = 20  # classes


def store(options: argparse.Namespace) -> dict[str, float]:
    """A patch and a cube of a stored CT of --shape beside those of one in memory: CPU time, and wall time of one whose
    files left the page cache. Peak memory of fine-tunings on few and on more --cases of --volume, and on --full CTs of
    --shape where any are asked for, with validation and the final table, and with the pages of files that they map.
    Memory, without such pages, while the loader goes through an epoch of pretraining, --cubes of each of 1,000 entries,
    which are the few CTs again and again, and the CPU time of a batch of 6 beside that of a step of the full network on
    it. Memory of two programs at once that have looked at all voxels of one store. With --old, a patch of the earlier
    build from the same CT, and the memory of its fine-tunings on 2 and on 4 CTs of --volume."""
    figures: dict[str, float] = {}
    few, more = options.cases
    with tempfile.TemporaryDirectory(prefix="segxfer3d-store-", dir=options.scratch) as folder:
        root = Path(folder)
        shape = tuple(options.shape)
        data = write_blocks(root / "full", 1, shape, 3)
        figures |= patch_milliseconds(data, root / "patches")
        step = figures["step_cpu_milliseconds_a_batch"] = step_milliseconds(options.width)
        if options.old:
            for name, milliseconds in old_patch_milliseconds(options.old, data).items():
                figures[f"old_{name}"] = milliseconds
                figures[f"{name}_times_faster"] = milliseconds / figures[f"{name}_from_the_store"]
        volume = tuple(options.volume)
        if options.old:
            figures |= old_memory(options.old, root, volume)
        place = root / "store"
        for count, classes in ((few, 1), (few, MANY), (more, 1)):
            data = write_blocks(root / "volumes", count, volume, classes)
            name = f"peak_gib_of_{count}_cts_{classes}_classes"
            figures[name] = peak_of_finetuning(data, place, root / name)
        data = root / "volumes" / f"{few}-cts-1-classes"
        figures |= epoch_of_cubes(data, place, cubes=options.cubes, step=step)
        figures |= shared_memory(place)
        shutil.rmtree(place)
        if options.full:
            data = write_blocks(root / "full", options.full, shape, MANY)
            name = f"peak_gib_of_{options.full}_full_cts_{MANY}_classes"
            figures[name] = peak_of_finetuning(data, place, root / name)
    return figures


def patch_milliseconds(data: Path, place: Path) -> dict[str, float]:
    """Of one CT, from its store and from memory; cold: its file left the page cache before each."""
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
        "paper_patch": labeled_patches(CUBE, foreground_share=0.5),
        "strong_patch": training_patches(CUBE, foreground_share=0.33, augmentation=Augmentation()),
        "cube": RandCubed(CUBE),
    }
    figures: dict[str, float] = {}
    files = [*place.rglob("*.npy")]

    def cold(patches: object) -> None:
        for file in files:
            _drop(file)
        patches(disk[0])  # type: ignore[operator]

    for name, patches in ways.items():
        seconds = median_seconds(
            lambda patches=patches: [patches(disk[0]) for _ in range(PATCHES)],  # type: ignore[misc]
            lambda patches=patches: [patches(memory[0]) for _ in range(PATCHES)],  # type: ignore[misc]
            clock=time.process_time,
        )
        figures[f"{name}_cpu_milliseconds_from_the_store"] = seconds[0] / PATCHES * 1e3
        figures[f"{name}_cpu_milliseconds_from_memory"] = seconds[1] / PATCHES * 1e3
        (seconds_cold,) = median_seconds(lambda patches=patches: cold(patches), repeats=PATCHES)  # type: ignore[misc]
        figures[f"{name}_wall_milliseconds_cold"] = seconds_cold * 1e3
    return figures


def step_milliseconds(width: int) -> float:
    """A training step on a batch of cubes."""
    (seconds,) = median_seconds(
        train_step(width, amp=False, channels_last=True, batch=2), repeats=1, clock=time.process_time
    )
    return seconds / 2 * BATCH * 1e3


def _drop(path: Path) -> None:
    """Have the system forget what it has read of a file."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(number)
