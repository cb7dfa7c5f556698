"""Whether a training failed for want of room on the disk, which says nothing of its settings."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FULL = tuple(f"[Errno {number}]" for number in (errno.ENOSPC, errno.EDQUOT))
_LEAST_BYTES = 32 * 2**20  # with less than that, or no further file, nothing trains
_LEAST_FILES = 16


def is_full(folder: Path, said: str) -> bool:
    """Whether the disk of a folder was full: a training says so, or could not even say it and there is hardly room.

    Args:
        folder: on the disk.
        said: why the training failed.
    """
    if any(number in said for number in _FULL):
        return True
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    # a file system that does not count files says that it has none
    return room.f_bavail * room.f_frsize < _LEAST_BYTES or (room.f_files > 0 and room.f_favail < _LEAST_FILES)
