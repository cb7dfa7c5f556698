"""What reports, the status of a study and CKA cost, beside an earlier build's."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segxfer3d

ROOT = Path(__file__).parents[1]
ARMS = {"random": 0.0, "encoder": 0.08, "encoder+decoder": 0.075, "frozen-encoder": 0.03, "frozen-random": 0.01}
STUDIES = {"75": (5, (2, 5, 20), True), "1000": (20, tuple(range(2, 12)), False)}  # seeds, budgets, pictures of cases
TRIALS_OF_STATUS = 4000
SAMPLES, FEATURES = 64, 1 << 18
REPEATS = 2
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(code not in (0, 1))
"""
CKA = """
import time, torch
try:
    from segxfer3d.analysis.cka import CKA  # as it was at 24e1449
except ImportError:
    from segxfer3d.interpret.cka import CKA
torch.set_num_threads(1)
features = torch.randn({samples}, {features}, generator=torch.Generator().manual_seed(0))
cka = CKA(["a"])
cka.update({{"a": features[:, :1000]}})
taken = []
for _ in range(5):
    start = time.process_time()
    cka.update({{"a": features}})
    taken.append(time.process_time() - start)
print(sorted(taken)[2])
"""


def report(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of a process that writes a report on 75 trials (65 cases each, with pictures) and on 1,000, and its
    peak memory; of `study status` on 4,000 trials; and of a Gram matrix of 64 samples of 262,144 features for CKA. With
    --old, the same of another build, run in turn, and how many times less ours takes."""
    builds = {"": Path(segxfer3d.__file__).parent.parent}
    if options.old:
        builds["old_"] = Path(options.old).absolute()
    figures: dict[str, float] = {"width": 0}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _make(folder)
        page = str(folder / "page.html")
        commands = {f"report_{n}": _cli("report", str(folder / n), "-o", page) for n in STUDIES}
        commands |= {"status_4000": _cli("study", "status", str(folder / "4000"))}
        for what, command in commands.items():
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in builds}
            for _ in range(REPEATS if what == "report_75" else 1):
                for name, build in builds.items():
                    taken[name].append(_spent(build, command))
            for name, runs in taken.items():
                figures[f"{name}{what}_cpu_seconds"] = statistics.median(seconds for seconds, _ in runs)
                figures[f"{name}{what}_peak_gib"] = max(peak for _, peak in runs)
        for name, build in builds.items():
            script = CKA.format(samples=SAMPLES, features=FEATURES)
            said = subprocess.run(
                [sys.executable, "-c", script], cwd=build, env=_environment(build), capture_output=True, check=True
            )
            figures[f"{name}cka_cpu_seconds"] = float(said.stdout)
    if options.old:
        for what in (*commands, "cka"):
            figures[f"{what}_times_less"] = figures[f"old_{what}_cpu_seconds"] / figures[f"{what}_cpu_seconds"]
    return figures


def _make(folder: Path) -> None:
    """The studies, as the tests make them."""
    sys.path.insert(0, str(ROOT))
    made: Any = importlib.import_module("tests.report.made_studies")

    for name, (seeds, budgets, previews) in STUDIES.items():
        made.write_study(folder / name, seeds=seeds, budgets=budgets, arms=ARMS, cases=65, previews=previews)
    trials = made.write_study(folder / "4000", seeds=1, budgets=(5,), arms={"random": 0.0}, cases=65, previews=False)
    last = trials[-1]
    for number in range(1, TRIALS_OF_STATUS - 1):
        name = f"{last['folder']}-{number}"
        (folder / "4000" / name).mkdir()
        for path in (folder / "4000" / last["folder"]).iterdir():
            os.link(path, folder / "4000" / name / path.name)
        trials.append({**last, "id": f"{last['id']}-{number}", "folder": name})
    (folder / "4000" / "trials.json").write_text(json.dumps(trials), encoding="utf-8")


def _cli(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "segxfer3d.cli", *arguments]


def _environment(build: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}


def _spent(build: Path, command: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and peak memory (GiB) of a command; a study that has something bad ends with 1.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *command], cwd=build, env=_environment(build), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode or "Error" in done.stderr:
        raise RuntimeError(done.stdout + done.stderr)
    seconds, peak = done.stdout.splitlines()[-1].split()
    return float(seconds), float(peak) / 2**20
