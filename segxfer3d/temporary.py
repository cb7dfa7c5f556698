"""Folders that go when they are needed no more, also those of processes that were killed."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_YOUNG = 10.0  # seconds in which a new folder may not be locked yet


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder, which goes when the block ends, unless it was given another name.

    Before, those of this user with this prefix go that no process uses any more: whoever uses one has it locked, which
    ends with the process, however that ends. Where a file system knows no locks, they stay.

    Args:
        prefix: of its name.
        parent: where it is; the system's folder for such where None.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    for path in parent.glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError):
            _forget(path)
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    number = os.open(place, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield place
    finally:
        os.close(number)
        shutil.rmtree(place, ignore_errors=True)


def _forget(path: Path) -> None:
    about = path.lstat()
    if about.st_uid != os.getuid() or not path.is_dir() or time.time() - about.st_mtime < _YOUNG:
        return
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(number)
