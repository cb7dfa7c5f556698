"""What an earlier build takes for a training patch of a CT, and what its fine-tunings hold in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmark_store_data import write_blocks
from benchmark_store_processes import peak_of

PATCHES = 7
FINETUNE = {
    "init": "random", "label_fraction": 1.0, "validation_fraction": 0.0, "test_fraction": 0.0, "width": 2,
    "patch_size": "[64,64,32]", "max_epochs": 1, "steps_per_epoch": 4, "batch_size": 2, "progress": False,
    "device": "cpu",
}  # fmt: skip

# the transform that its fine-tuning draws a patch with, by the names of 24e1449
SCRIPT = """
import json, statistics, sys, time
from pathlib import Path
from monai.transforms import Compose, RandCropByPosNegLabeld, RandFlipd, RandScaleIntensityd, RandShiftIntensityd
from monai.transforms import SelectItemsd, SpatialPadd
from segxfer3d.data.cubes import CropRule, RandCubed
from segxfer3d.data.datasets import find_cases
from segxfer3d.data.preprocessing import Preprocessing
from segxfer3d.jobs.volumes import FirstPatch
root, count = Path(sys.argv[1]), int(sys.argv[2])
found, preprocessing = find_cases(root), Preprocessing.for_modality("CT")
case = found.cases[0]
load = Compose([preprocessing.training_transform(), preprocessing.one_hot(found.classes)])
loaded = load({"image": str(case.image), "label": str(case.label)})
keys, size = ["image", "label"], (64, 64, 32)
item = {key: loaded[key].as_tensor().contiguous() for key in keys}
patches = Compose([
    SpatialPadd(keys, size),
    RandCropByPosNegLabeld(keys, "label", size, pos=0.5, neg=0.5, num_samples=1, allow_smaller=True),
    FirstPatch(), *(RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
    RandScaleIntensityd("image", factors=0.1, prob=0.5), RandShiftIntensityd("image", offsets=0.05, prob=0.5),
    SelectItemsd(keys),
], map_items=False)
def milliseconds(draw):
    draw(item)
    taken = []
    for _ in range(count):
        start = time.process_time()
        draw(item)
        taken.append(time.process_time() - start)
    return statistics.median(taken) * 1e3
ways = {"paper_patch": patches, "cube": RandCubed(size)}
print(json.dumps({f"{name}_cpu_milliseconds": milliseconds(draw) for name, draw in ways.items()}))
"""


def old_patch_milliseconds(build: Path, data: Path) -> dict[str, float]:
    """Of a patch, and of a cube, of the first CT of ``data``."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(data), str(PATCHES)]
    done = subprocess.run(command, env=environment(build), capture_output=True, text=True, check=False, cwd=data)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def old_memory(build: Path, root: Path, shape: tuple[int, ...]) -> dict[str, float]:
    """GiB that its fine-tunings take at most, on two CTs of one class and on four of five."""
    figures = {}
    for count, classes in ((2, 1), (4, 5)):
        data = write_blocks(root / "volumes", count, shape, classes)
        words = [f"--{name}={value}" for name, value in FINETUNE.items()]
        command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file"]
        command += ["bundles/genesis_finetune.json", "--dataset_dir", str(data)]
        command += [f"--output_dir={root / f'old-{count}-{classes}'}", *words]
        figures[f"old_peak_gib_of_{count}_cts_{classes}_classes"] = peak_of(command, environment(build), cwd=build)
    return figures


def environment(build: Path) -> dict[str, str]:
    """Of a process that runs a build."""
    return {**os.environ, "PYTHONPATH": str(build.absolute())}
