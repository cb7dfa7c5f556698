"""Full disks: a job writes to a small file system, ends in a short error, gets room, and ends with the same bits."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from torture_jobs import TinyJob
from torture_kills import Bench, Say

from segxfer3d.config.short_errors import MOST_CHARACTERS

ROOM = "size=512m,nr_inodes=100000"
_MORE = 200


def can_mount(folder: Path) -> str:
    """Why no small file system can be mounted here; empty where one can."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _mount(folder, "size=1m")
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return " ".join(str(said).split())
    _unmount(folder)
    return ""


def _mount(folder: Path, options: str) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True, capture_output=True, text=True
    )


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _room(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True, text=True)


def disk_trials(root: Path, jobs: Sequence[TinyJob], *, seed: int, until: float, first: int, say: Say) -> None:
    """Jobs in turn on a file system that holds a part of what they need, of bytes or of files, until a time of the
    monotonic clock.

    Args:
        root: folder of trials; a small file system is mounted in it for each.
        jobs, seed, until, first, say: as of :func:`torture_kills.kill_trials`; the number is 1 where the disk was full.
    """
    root.mkdir(parents=True, exist_ok=True)
    bench = Bench(root)
    known: dict[str, tuple[TinyJob, dict[str, str], int, int]] = {}
    for job in jobs:
        if time.monotonic() < until or not known:
            _mount(root, ROOM)
            try:
                expected, _, _ = bench.whole(job)
                bench.start(job)
                used = os.statvfs(root)
                size, files = (used.f_blocks - used.f_bfree) * used.f_frsize, used.f_files - used.f_ffree
                known[job.name] = (job, expected, size, files)
            finally:
                bench.clear()
                _unmount(root)
    number = first
    while time.monotonic() < until:
        for job, expected, size, files in known.values():
            if time.monotonic() >= until:
                break
            began = time.monotonic()
            full, problem = one_disk(bench, job, expected, size, files, Random(f"{seed}/disk/{job.name}/{number}"))
            say(f"{job.name}, trial {number}", int(full), problem, time.monotonic() - began)
        number += 1


def one_disk(
    bench: Bench, job: TinyJob, expected: dict[str, str], size: int, files: int, rng: Random
) -> tuple[bool, str]:
    """One trial: whether the disk was full, and what went wrong (empty where nothing)."""
    share = rng.uniform(0.02, 1.0)
    by_files = rng.random() < 0.4
    small = f"nr_inodes={max(6, int(files * share))},size=512m" if by_files else f"size={max(8192, int(size * share))}"
    _mount(bench.root, small)
    try:
        ended = bench.start(job)
        if ended.status == 0:
            return False, ""
        if problem := short_of_room(ended.status, ended.said, bench):
            return True, f"{small}: {problem}"
        _room(bench.root, ROOM)
        problem = bench.go_on(job, expected)
        return True, f"{small}, then room: {problem}" if problem else ""
    finally:
        bench.clear()
        _unmount(bench.root)


def short_of_room(status: int, said: str, bench: Bench) -> str:
    """What is wrong with how a job ended on a full disk; empty where it is as it should be."""
    if status < 0:
        return f"died ({status})"
    if said.startswith("status") or not said:  # a study, whose trainings say it; or nothing could be written at all
        return ""
    if said.startswith("trace"):
        return said
    if len(said) > MOST_CHARACTERS + _MORE:
        return f"{len(said)} characters: {said[:150]}"
    return "" if str(bench.root) in said else f"names no file: {said[:300]}"
