"""How long a trial of a study takes to start: CPU seconds until the first line of its ``metrics.jsonl``."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segxfer3d
from segxfer3d.config.shipped import shipped_folder
from segxfer3d.study.launching import FRESH, PYTHON, Process, Processes, WarmProcesses, started_from

TINY: dict[str, Any] = {
    "init": "random", "pretrain_config": "", "device": "cpu", "width": 2, "patch_size": [16, 16, 8], "batch_size": 2,
    "phantom_patients": 8, "max_epochs": 1, "steps_per_epoch": 1, "validation_fraction": 0.0, "progress": False,
}  # fmt: skip
REPEATS = 5
_SECONDS_BETWEEN_LOOKS = 0.005
_TICKS = os.sysconf("SC_CLK_TCK")


def start(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of a tiny fine-tuning on phantoms from its start to its first line of metrics: as a new process, as
    one that is forked from a study's worker (which spends its own seconds once), and, with --old, as a new process of
    another build. Taken in turn, the median of five."""
    bundle, build = str(shipped_folder() / "genesis_finetune.json"), str(Path(segxfer3d.__file__).parent.parent)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place, started_from([bundle]) as warm:
        assert isinstance(warm, WarmProcesses)
        os.chdir(place)  # where no build lies: Python looks for modules here first
        ways: dict[str, tuple[Processes, str, dict[str, str]]] = {
            "new_process": (FRESH, bundle, {"PYTHONPATH": build}),
            "forked": (warm, bundle, {"PYTHONPATH": build}),
        }
        if options.old:
            old = here / options.old
            ways["old_build"] = (FRESH, str(old / "bundles" / "genesis_finetune.json"), {"PYTHONPATH": str(old)})
        times: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(REPEATS + 1):  # the first one makes the phantoms and compiles
            for name, (processes, config, variables) in ways.items():
                folder = Path(place) / name / str(repeat)
                seconds = until_first_line(processes, config, folder, {**os.environ, **variables})
                times[name] += [seconds] if repeat else []
        once = cpu_seconds(warm.worker.process.pid) if warm.worker else 0.0
        os.chdir(here)
    figures = {f"{name}_cpu_seconds": statistics.median(taken) for name, taken in times.items()}
    slowest = figures.get("old_build_cpu_seconds", figures["new_process_cpu_seconds"])
    return figures | {
        "worker_cpu_seconds_once": once,
        "times_faster": slowest / figures["forked_cpu_seconds"],
        "width": TINY["width"],
    }


def until_first_line(processes: Processes, config: str, folder: Path, environment: Mapping[str, str]) -> float:
    """CPU seconds that a training has used when its first line of metrics is there; it is ended then."""
    folder.mkdir(parents=True)
    knobs = [f"--{name}={value}" for name, value in {**TINY, "output_dir": str(folder / "run")}.items()]
    command = [*PYTHON, "monai.bundle", "run", "--config_file", config, *knobs]
    with (folder / "output.txt").open("wb") as output:
        process = processes.start(command, output=output, environment=environment, inherited=[])
    lines = folder / "run" / "metrics.jsonl"
    try:
        while not (lines.is_file() and lines.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError((folder / "output.txt").read_text(encoding="utf-8"))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return cpu_seconds(process.pid)
    finally:
        end(process)


def end(process: Process) -> None:
    """Have a training end, and wait for that."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
    process.wait(60)


def cpu_seconds(pid: int) -> float:
    """User's and system's seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
