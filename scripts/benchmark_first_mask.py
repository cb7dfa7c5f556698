"""How long a mask of a small CT takes from the start of the command: imports, the model, reading and writing."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmark_mask import OURS, Used, command, infer, run
from benchmark_mask_data import write
from benchmark_start import REPEATS, TINY

from segxfer3d.data.synthetic.phantoms import synthetic_ct


def first_mask(options: argparse.Namespace) -> dict[str, float]:
    """A mask of one CT of 32x32x32 voxels by `infer` with a network of width 2, from the start of the command to its
    end: CPU and wall seconds on one thread; with --old, the same of another build; and beside them what both commands
    begin with, `import monai.bundle` (which imports torch). Taken in turn, the median of five."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        image, model = write(folder / "ct.nii.gz", synthetic_ct((32, 32, 32))), folder / "run" / "model.pt"
        build = options.old.resolve() if options.old else OURS  # both open what the earlier one trained
        run(command(build, "genesis_finetune", {**TINY, "output_dir": model.parent}), build=build)
        ways: dict[str, Callable[[], Used]] = {"ours": lambda: infer(OURS, model, image, folder / "ours")}
        if options.old:
            ways["old"] = lambda: infer(options.old.resolve(), model, image, folder / "old")
        ways["import_of_monai"] = lambda: run([sys.executable, "-c", "import monai.bundle"])
        taken: dict[str, list[Used]] = {name: [] for name in ways}
        for repeat in range(REPEATS + 1):  # the first one compiles
            for name, way in ways.items():
                used = way()
                taken[name] += [used] if repeat else []
    figures: dict[str, float] = {}
    for name, used_by in taken.items():
        for what in ("cpu", "wall"):
            figures[f"{name}_{what}_seconds"] = statistics.median(getattr(used, what) for used in used_by)
    beside = {name: figures[f"{name}_cpu_seconds"] - figures["import_of_monai_cpu_seconds"] for name in ways}
    figures |= {f"{name}_cpu_seconds_beside_the_import": beside[name] for name in ("ours", "old") if name in ways}
    return figures | {"width": TINY["width"]}
