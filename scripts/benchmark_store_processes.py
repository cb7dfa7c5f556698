"""Memory of other processes, from /proc."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOK = 0.05  # seconds between two looks


def peak_of(command: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> float:
    """GiB that a program takes at most, with the pages of files that it maps.

    (``ru_maxrss`` may be that of the process that started it.)

    Raises:
        RuntimeError: it failed; with what it said.
    """
    peak = 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env={**environment}, cwd=cwd, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, _gib(process.pid, "status", ("VmHWM",)).get("VmHWM", 0.0))
            time.sleep(LOOK)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-4000:])
    return peak


def shares_of(pid: int) -> dict[str, float]:
    """GiB of a process: resident, its share of what it has in common with others, and what it has alone."""
    found = _gib(pid, "smaps_rollup", ("Rss", "Pss", "Private_Clean", "Private_Dirty"))
    return {"rss": found["Rss"], "pss": found["Pss"], "unshared": found["Private_Clean"] + found["Private_Dirty"]}


def own_memory() -> float:
    """GiB of this process, without pages of files."""
    return sum(_gib(os.getpid(), "status", ("RssAnon", "RssShmem")).values())


def _gib(pid: int, file: str, names: Sequence[str]) -> dict[str, float]:
    """By the names of a file in /proc/PID; empty of a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {row[0][:-1]: int(row[1]) / 2**20 for row in words if row and row[0][:-1] in names}
