"""What a fine-tuning spends on telling its data apart, at its start and where it goes on."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmark_store_data import write_blocks

FULL = 2  # CTs of full size, which stand for as many as there are of the others
SHORT = 6  # minutes of a short fine-tuning
STEPS = 100 * 20  # of fine-tuning by default

# a fine-tuning; CPU seconds of what hashes and compares, and of a step
SCRIPT = """
import json, logging, statistics, sys, threading, time
from contextlib import contextmanager
from ignite.engine import Events
import segxfer3d.data.check as checks, segxfer3d.data.store.cases as cases, segxfer3d.data.store.entry as entry
import segxfer3d.jobs.source as source
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.made_from import MadeFrom
from segxfer3d.training.resume import TrainingState
source.KeptVolumes.__init__.__defaults__ = (0,)  # as if there was room for none
data, store, folder, options = *sys.argv[1:4], json.loads(sys.argv[4])
seconds, lock, inside = {}, threading.Lock(), threading.local()
def timed(owner, name, kind):
    work = getattr(owner, name)
    def counted(*arguments, **options):
        start = time.thread_time()
        try:
            return work(*arguments, **options)
        finally:
            with lock:
                seconds[kind] = seconds.get(kind, 0.0) + time.thread_time() - start
    setattr(owner, name, counted)
timed(checks, "voxels_hash", "fingerprints")
timed(checks, "voxels_checksum", "fingerprints")
timed(cases, "voxels_checksum", "fingerprints_again")
timed(entry, "file_checksum", "checksums_of_the_store")
timed(source, "take_data", "comparing")
timed(MadeFrom, "__init__", "comparing")
timed(MadeFrom, "write", "comparing")
timed(checks, "_look", "check")
taken, since, attach = [], [0.0], TrainingState.attach
def attached(self, engine):
    attach(self, engine)
    engine.add_event_handler(Events.GET_BATCH_STARTED, lambda _: since.__setitem__(0, time.process_time()))
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: taken.append(time.process_time() - since[0]))
TrainingState.attach = attached
run_bundle("genesis_finetune", dataset_dir=data, output_dir=folder, store=store, **options)
if taken:
    seconds["step"] = statistics.median(taken)
print(json.dumps(seconds))
"""
TRAINING: dict[str, Any] = {
    "init": "random", "device": "cpu", "label_fraction": 1.0, "validation_fraction": 0.0, "test_fraction": 0.0,
    "max_epochs": 1, "steps_per_epoch": 1, "progress": False, "num_workers": 0, "lr": 1e-4,
}  # fmt: skip
SMALL = {"recipe": "paper", "plan": "none", "width": 2, "patch_size": [64, 64, 32], "batch_size": 2}
KINDS = ("fingerprints", "fingerprints_again", "checksums_of_the_store", "comparing")


def hashing(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds that a fine-tuning on the first number of --cases, CTs of --volume, through a store which it has to
    make, spends on fingerprints of what it reads, on checksums of the store, and on comparing with what it was started
    with: at its start, and where it goes on; beside them all of its check, reading included. The same of as many CTs of
    --shape, from two of them. Percent: of 6 minutes on one core, and of the 2,000 steps that fine-tuning takes by
    default, from a step of the network that is planned for them, measured here. No volume is kept from the check for
    the store, as where they are many."""
    figures: dict[str, float] = {}
    count = options.cases[0]
    with tempfile.TemporaryDirectory(prefix="segxfer3d-hashing-", dir=options.scratch) as folder:
        root = Path(folder)
        data = write_blocks(root / "step", FULL, tuple(options.volume), 1)
        step = figures["step_seconds"] = finetune(data, root, "step", steps_per_epoch=2)["step"]
        for prefix, number, shape in (("", count, options.volume), ("full_", FULL, options.shape)):
            data = write_blocks(root / f"{prefix}data", number, tuple(shape), 1)
            for resume in (False, True):
                found = finetune(data, root, f"{prefix}run", resume=resume, **SMALL)
                name = f"{prefix}{'resume' if resume else 'start'}"
                spent = {kind: count / number * found.get(kind, 0.0) for kind in (*KINDS, "check")}
                figures |= {f"{name}_{kind}_seconds": value for kind, value in spent.items()}
                total = figures[f"{name}_all_seconds"] = sum(spent[kind] for kind in KINDS)
                figures[f"{name}_percent_of_{SHORT}_minutes"] = 100 * total / (60 * SHORT)
                figures[f"{name}_percent_of_the_default"] = 100 * total / (STEPS * step)
    return figures


def finetune(data: Path, root: Path, name: str, **options: Any) -> dict[str, Any]:
    """CPU seconds by kind of work."""
    words = [str(data), str(root / "store"), str(root / name), json.dumps({**TRAINING, **options})]
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, *words]
    done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False, cwd=data)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
