"""How much memory this process may still take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def memory_left() -> float:
    """Bytes that can be taken before the machine, or the control group that a batch system or a container gave this
    process, has none left; files that the system keeps in memory until somebody needs it count as free. Infinite where
    the system does not say (the kernel's ``meminfo`` and control groups of version 2 do)."""
    return min([_of_machine(), *_of_groups()])


def _of_machine() -> float:
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    return math.inf


def _of_groups() -> Iterator[float]:
    """Of the process' own group and those above it."""
    with suppress(OSError, ValueError, IndexError):
        name = next(line[3:] for line in _OWN_GROUP.read_text().splitlines() if line.startswith("0::"))
        place = _GROUPS / name.strip("/")
        for folder in (place, *place.parents):
            if folder.is_relative_to(_GROUPS):
                with suppress(OSError, ValueError, KeyError):
                    yield _of_group(folder)


def _of_group(folder: Path) -> float:
    most = (folder / "memory.max").read_text().strip()
    if most == "max":
        return math.inf
    details = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / "memory.current").read_text()) - int(details["inactive_file"]) - int(details["active_file"])
    return float(int(most) - max(0, taken))
