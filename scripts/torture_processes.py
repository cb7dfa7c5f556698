"""The processes below one, as Linux's /proc tells them, and their memory."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def parents() -> dict[int, int]:
    """Process to parent, of all that can be seen."""
    found = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                found[int(place.name)] = int((place / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return found


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    of = parents()
    found = [pid]
    for number in found:
        found += [child for child, parent in of.items() if parent == number]
    return found


def kill_tree(pid: int, *, but: int = 0) -> None:
    """Kill a process and all below it, which are held first, so that none starts another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for one in tree(pid):
            if one != but:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(one, number)


def used(pid: int) -> int:
    """Bytes in memory of a process and of those below it."""
    total = 0
    for number in tree(pid):
        with suppress(OSError, IndexError, ValueError):
            statm = Path(f"/proc/{number}/statm").read_text(encoding="ascii").split()
            total += int(statm[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def reset_peaks(pid: int) -> int:
    """Have the system count the peaks of memory of a process, and of those below it, anew; what they are now."""
    for number in tree(pid):
        with suppress(OSError):
            Path(f"/proc/{number}/clear_refs").write_text("5", encoding="ascii")
    return peaks(pid)


def peaks(pid: int) -> int:
    """The most memory that a process, and each of those below it, had at a time, summed."""
    total = 0
    for number in tree(pid):
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{number}/status").read_text(encoding="ascii", errors="replace").splitlines()
            total += 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total
