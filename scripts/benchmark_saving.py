"""How long a training waits for its states, which a thread writes, and what it waited where it wrote them itself."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import segxfer3d

ROUNDS = 3  # of all ways, in turn

# saves of a build, here or of 24e1449: seconds, by the clock and of the processor, and those of steps between them
SCRIPT = """
import json, sys, time, types
from pathlib import Path
import torch
from segxfer3d.networks import genesis_unet
folder, way, width = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
try:
    from segxfer3d.training.resume import TrainingState
    run = types.SimpleNamespace(path=folder, main=True, before_close=[])
except ImportError:
    from segxfer3d.handlers import TrainingState
    knobs = types.SimpleNamespace(patience=0, keep="last", save_interval=1)
    run = types.SimpleNamespace(folder=folder, main=True, knobs=knobs)
torch.manual_seed(0)
network = genesis_unet(width=width)
for weight in network.parameters():
    weight.grad = torch.rand_like(weight)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
optimizer.step()
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
state = TrainingState(run, network, optimizer=optimizer, schedule=schedule)
writer = getattr(state, "writer", None)
if way == "in_place":
    writer.begin = writer.write
elif writer is not None:
    writer.prepare(state._content())  # as after the first step
    writer.wait()
saves, beside, alone = [], [], []
def step():
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start
for epoch in range(1, 7):
    start, cpu = time.perf_counter(), time.thread_time()
    state._save(types.SimpleNamespace(state=types.SimpleNamespace(epoch=epoch, max_epochs=100)))
    saves.append([time.perf_counter() - start, time.thread_time() - cpu])
    while getattr(writer, "_thread", None) is not None and writer._thread.is_alive():
        beside.append(step())
    alone += [step() for _ in range(5)]
for last in getattr(run, "before_close", []):
    last()
size = max(path.stat().st_size for path in (folder / "checkpoints").iterdir())
print(json.dumps({"saves": saves, "beside": beside, "alone": alone, "size": size}))
"""


def saving(options: argparse.Namespace) -> dict[str, float]:
    """Seconds (by the clock, and of the processor) that the handler which keeps training states takes at the end of an
    epoch, with the network of Models Genesis and Adam, while a thread writes the state; the first time apart. Beside
    it, in turn, the same where it writes the state itself, as before there was a thread, and with --old that of another
    build. Medians, and the least. Of an optimizer's steps, those beside which the thread writes, and others."""
    here = Path(segxfer3d.__file__).parent.parent
    ways = {"": here, "in_place": here} | ({"old": options.old.absolute()} if options.old else {})
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, build in ways.items():
            found[way].append(saves_of(build, way, width=options.width, scratch=options.scratch))
    figures: dict[str, float] = {"state_mib": found[""][0]["size"] / 2**20}
    for way, processes in found.items():
        prefix = f"{way}_" if way else ""
        pauses = [pause for process in processes for pause in process["saves"][1:]]
        figures[f"{prefix}pause_seconds"] = statistics.median(seconds for seconds, _ in pauses)
        figures[f"{prefix}least_pause_seconds"] = min(seconds for seconds, _ in pauses)
        figures[f"{prefix}pause_cpu_seconds"] = statistics.median(cpu for _, cpu in pauses)
        figures[f"{prefix}first_pause_seconds"] = statistics.median(process["saves"][0][0] for process in processes)
    for kind in ("beside", "alone"):
        steps = [seconds for process in found[""] for seconds in process[kind]]
        figures[f"optimizer_step_{kind}_seconds"] = statistics.median(steps)
    for way in ways:
        if way:
            for kind in ("pause", "least_pause", "first_pause"):
                figures[f"{kind}_share_of_{way}"] = figures[f"{kind}_seconds"] / figures[f"{way}_{kind}_seconds"]
    return figures


def saves_of(build: Path, way: str, *, width: int, scratch: Path | None) -> dict[str, Any]:
    """Seconds of each save and of steps between them, and the bytes of a state."""
    environment = {**os.environ, "PYTHONPATH": str(build)}
    with tempfile.TemporaryDirectory(prefix="segxfer3d-saving-", dir=scratch) as folder:
        words = [sys.executable, "-W", "ignore", "-c", SCRIPT, folder, way, str(width)]
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
