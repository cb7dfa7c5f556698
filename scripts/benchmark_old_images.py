"""Images of this build and of another one side by side: views, and reading and holding a whole data set."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
VIEWS = """
import json, time, torch
from segxfer3d.augment.views import RandomViews
torch.set_num_threads(1)
torch.ones(7_500_000)
pixels = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
batch = {"image": pixels.repeat_interleave(8, 2).repeat_interleave(8, 3).contiguous()}
make, times = RandomViews((64, 64)), []
for _ in range(60):
    start = time.perf_counter()
    make(batch)
    times.append(time.perf_counter() - start)
print(json.dumps({"milliseconds": 1000 * min(times) / 64}))
"""
READING = """
import json, resource, sys
from pathlib import Path
usage = lambda: resource.getrusage(resource.RUSAGE_SELF)
cpu = lambda: usage().ru_utime + usage().ru_stime
# getrusage's peak would begin with that of the process that started this one
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
root = Path(sys.argv[1])
try:
    from segxfer3d.data.check import check
    from segxfer3d.data.layouts import Request, find_cases
    from segxfer3d.data.preprocessing.held_images import HeldImages, KeptImages
    memory, start = peak(), cpu()
    found = find_cases(root, Request(layout="oxford_pets", dims=2, task="images", progress=False))
    kept = KeptImages(None)
    report = check(found, progress=False, keep=kept)
    held = HeldImages(found, None, labels=False, progress=False, kept=kept)
    pixels = held.bytes
except ImportError:  # a build whose rooms had other names
    from segxfer3d.data.datasets.images import find_images
    from segxfer3d.data.image_cases import check_images
    from segxfer3d.data.image_dataset import ImageDataset
    memory, start, pixels = peak(), cpu(), 0
    found = find_images("oxford_pets", str(root), "", "images", "ignore", "", progress=False)
    check_images(found, False, False)
    held = ImageDataset(found, 128, progress=False)
print(json.dumps({"cpu_seconds": cpu() - start, "grown": 1024 * (peak() - memory), "pixels": pixels}))
"""


def old_images(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds a view of 64x64, the least of 60 batches of 64, in this build and the one of --old, in turn; with
    --pets also CPU seconds to read and hold all of Pets, and how much memory that takes over the bytes of its pixels.
    The other build may be as old as 24e1449."""
    builds = {"": HERE} | ({"old_": options.old} if options.old else {})
    figures: dict[str, float] = {}
    for _ in range(3):
        for prefix, build in builds.items():
            key, milliseconds = f"{prefix}milliseconds_a_view", _run(VIEWS, build)["milliseconds"]
            figures[key] = min(figures.get(key, milliseconds), milliseconds)
    if options.pets:
        for prefix, build in builds.items():
            found = _run(READING, build, str(options.pets))
            figures[f"{prefix}cpu_seconds_reading"] = found["cpu_seconds"]
            if found["pixels"]:
                figures[f"{prefix}memory_over_pixels"] = found["grown"] / found["pixels"]
    for name in ("milliseconds_a_view", "cpu_seconds_reading"):
        if f"old_{name}" in figures:
            figures[f"{name}_over_old"] = figures[name] / figures[f"old_{name}"]
    return figures


def _run(code: str, build: Path, *arguments: str) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, cwd=build, check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return figures
