"""What the demo study and its report cost, beside an earlier build's: CPU seconds, and the dice of its arms."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import segxfer3d

STUDY = "bundles/studies/demo.json"
RUN = ("study", "run", STUDY, "--threads", "1")  # a second one spins where other programs take its core


def demo(options: argparse.Namespace) -> dict[str, float]:
    """CPU and wall seconds of the study that README shows and of its report, one training at a time, on one thread,
    with Numba's cache empty, and the mean dice of its best and of its worst arm; with --old, the same of another
    build's, run before it, and the ratio of CPU seconds."""
    builds = {"": Path(segxfer3d.__file__).parent.parent}
    if options.old:
        builds = {"old_": Path(options.old).absolute(), **builds}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, build in builds.items():
            taken = study_and_report(build, Path(place) / f"{name}demo")
            figures |= {f"{name}{key}": value for key, value in taken.items()}
    if options.old:
        figures["share_of_old"] = figures["cpu_seconds"] / figures["old_cpu_seconds"]
    return figures


def study_and_report(build: Path, folder: Path) -> dict[str, float]:
    """The two commands in a build's folder, writing into ``folder``.

    Raises:
        RuntimeError: one failed; with what it said.
    """
    folder.mkdir()
    runs = folder / "runs"
    environment = {**os.environ, "PYTHONPATH": str(build), "NUMBA_CACHE_DIR": str(folder / "numba")}
    seconds, before = -time.perf_counter(), os.times()
    for arguments in ((*RUN, "--output", runs), ("report", runs, "-o", folder / "demo.html")):
        command = [sys.executable, "-m", "segxfer3d.cli", *map(str, arguments)]
        done = subprocess.run(command, cwd=build, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
    seconds, after = seconds + time.perf_counter(), os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    arms = dice_of_arms(build, runs)
    return {"cpu_seconds": spent, "wall_seconds": seconds, "best_dice": max(arms), "worst_dice": min(arms)}


def dice_of_arms(build: Path, runs: Path) -> list[float]:
    """Mean dice over the test cases of each arm, whose runs are its seeds."""
    arms = json.loads((build / STUDY).read_text(encoding="utf-8"))["arms"]
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for path in sorted(runs.rglob("cases_summary.json")):
        fits = [arm for arm in arms if f"-{arm}-n" in path.parent.name]
        for arm in fits:
            found[arm].append(float(json.loads(path.read_text(encoding="utf-8"))["dice"]))
    return [statistics.mean(values) for values in found.values() if values]
