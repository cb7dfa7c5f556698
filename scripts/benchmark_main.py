"""What README's first command costs, beside an earlier build's: CPU seconds, and the dice that it ends with."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import segxfer3d

COMMAND = ("-W", "ignore", "-m", "monai.bundle", "run", "--config_file", "bundles/genesis_finetune.json")


def main_command(options: argparse.Namespace) -> dict[str, float]:
    """CPU and wall seconds of README's first command (phantoms, a short pretraining, fine-tuning, test), on the CPU and
    on phantoms of its own, with Numba's cache empty (first) and then filled, and its mean dice; with --old, the same of
    another build, run in turn, and the ratios of CPU seconds."""
    builds = {"": Path(segxfer3d.__file__).parent.parent}
    if options.old:
        builds["old_"] = Path(options.old).absolute()
    figures: dict[str, float] = {"width": 8}
    with tempfile.TemporaryDirectory() as place:
        for time_of in ("first_", ""):
            for name, build in builds.items():
                folder = Path(place) / f"{name}{time_of}runs"
                taken = run(build, folder, Path(place) / f"{name}numba")
                figures |= {f"{name}{time_of}{key}": value for key, value in taken.items()}
    if options.old:
        for time_of in ("first_", ""):
            key = f"{time_of}cpu_seconds"
            figures[f"{time_of}share_of_old"] = figures[key] / figures[f"old_{key}"]
    return figures


def run(build: Path, folder: Path, cache: Path) -> dict[str, float]:
    """The command in a build's folder, writing below ``folder``.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    output = folder / "genesis_finetune" / "001"
    output.parent.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(build), "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, *COMMAND, f"--output_dir={output}", "--device=cpu", "--progress=False"]
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    summary = json.loads((output / "cases_summary.json").read_text(encoding="utf-8"))
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {"cpu_seconds": spent, "wall_seconds": seconds, "dice": float(summary["dice"])}
