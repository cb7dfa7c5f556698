"""Stands in for a training in tests of the runner: leaves the files of a run, or fails as it is told.

``python fake_run.py FOLDER RESUME MODE``; every start adds a line to ``FOLDER/starts.txt``.
"""

import json
import os
import sys
import time
from pathlib import Path

folder, resume, mode = Path(sys.argv[1]), sys.argv[2] == "True", sys.argv[3]
folder.mkdir(parents=True, exist_ok=True)
with (folder / "starts.txt").open("a") as file:
    file.write(f"resume {resume}\n")
(folder / "run.json").write_text(json.dumps({"job": "fake", "knobs": {}}))


def begin():
    """Say that it runs, and as which process."""
    (folder / ".begun").write_text(str(os.getpid()))
    (folder / ".begun").rename(folder / "begun")


if mode.startswith("reads "):
    (folder / "made_from.json").write_text(json.dumps({"cases": {"a": [mode.split()[1]]}}))
    if mode.endswith("slow"):
        time.sleep(60)
if mode == "fail":
    print("noise\nerror: loss is NaN in epoch 3\nfull trace: log.txt")
    raise SystemExit(1)
if mode == "full":
    print(f"error: {folder}/checkpoints/epoch-00002.pt could not be saved ([Errno 28] No space left on device)")
    raise SystemExit(1)
if mode == "slow":
    begin()
    time.sleep(60)
if mode == "brief":
    begin()
    time.sleep(1.5)
lines = [{"epoch": epoch, "step": epoch * 5, "loss": 1.0, "seconds": 0.05} for epoch in (1, 2, 3)]
for line in lines:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
(folder / "model.pt").write_bytes(b"weights")
(folder / "cases.csv").write_text("case,patient,dice\na,a,0.5\n")
(folder / "done.json").write_text(json.dumps({"seconds": 1.0}))
