"""Where preprocessed volumes lie on disk: the folder, its entries, and who may write or clear them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segxfer3d import documents, files
from segxfer3d.data.store.entry import write_entry
from segxfer3d.errors import InputError, reason
from segxfer3d.machine import size_text

VARIABLE = "SEGXFER3D_STORE"  # of the environment: a folder instead of the usual one
MARK = "segxfer3d-store.json"
IMAGES, LABELS = "images", "labels"  # the kinds of entries
IN_USE, LOCKS = "in-use.lock", "locks"
FORMAT = "segxfer3d-volumes"  # the entries say their version
_WAIT = 0.2  # seconds between two looks at what another process makes
_TIMES, _SHORT = 10, 0.05  # how often the store's lock is asked for, and seconds between
_SPARE = 2**28  # bytes that stay free on the disk
_ELSEWHERE = "--store DIR puts it on another disk"


def usual_folder() -> Path:
    """The folder of the environment variable, else one in the user's cache folder.

    Raises:
        InputError: nothing says whose that is, as in a container.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "segxfer3d" / "volumes"
    usual = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    return _at_home(Path(usual)) / "segxfer3d" / "volumes"


def _at_home(folder: Path) -> Path:
    """A path whose ``~`` is a home folder.

    Raises:
        InputError: nobody knows which.
    """
    try:
        return folder.expanduser().absolute()
    except RuntimeError as error:
        raise InputError(
            f"store {folder}: no home folder is known; --store DIR or the variable {VARIABLE} says where volumes lie"
        ) from error


class VolumeStore:
    """A folder of entries, each a folder of arrays that is there whole or not at all.

    Entries are named by what they were made from and how, so that one is never taken for another. Whoever has the store
    open holds its lock together with others; it is cleared only where nobody does.

    Args:
        folder: of the store, which is made where it is missing.

    Raises:
        InputError: a folder that holds something else, that cannot be written, or that is being cleared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _at_home(folder)
        if not is_store(self.folder):
            _begin(self.folder)
        self._tidy()
        lock = self._lock()
        if lock is None:
            raise InputError(f"store {self.folder}: is being cleared; try again")
        weakref.finalize(self, lock.release)

    def _tidy(self) -> None:
        """Remove what killed processes left half written, unless somebody else has the store open."""
        places = (self.folder / IMAGES, self.folder / LABELS)
        with suppress(InputError):  # of a folder that cannot be written
            if any(map(files.parts, places)) and (alone := files.Lock.take(self.folder / IN_USE)):
                for place in places:
                    files.sweep(place)
                alone.release()

    def _lock(self) -> files.Lock | None:
        for _ in range(_TIMES):  # another process may tidy up
            if lock := files.Lock.take(self.folder / IN_USE, shared=True):
                return lock
            time.sleep(_SHORT)
        return None

    @staticmethod
    def found(folder: Path) -> VolumeStore | None:
        """The store of a folder; None where there is none, or none that can be used now."""
        with suppress(InputError):
            return VolumeStore(folder) if is_store(_at_home(folder)) else None
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return VolumeStore, (self.folder,)  # another process has a lock of its own

    def path(self, kind: str, key: str) -> Path:
        """Of an entry, whether or not it is there."""
        return self.folder / kind / key

    def write(
        self, kind: str, key: str, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any], *, made_from: Any
    ) -> None:
        """Write an entry, see :func:`~segxfer3d.data.store.entry.write_entry`. The caller has the right to, see
        :meth:`making`.

        Raises:
            InputError: as there.
        """
        with _say_elsewhere():
            write_entry(self.path(kind, key), arrays, about, made_from=made_from)

    @contextmanager
    def making(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """The right to make an entry, which one process has at a time, and loses when it dies.

        Args:
            key: of the entry.
            wait: until another process has made it or died; else False is given at once where one has the right.

        Raises:
            InputError: the store cannot be written.
        """
        place = self.folder / LOCKS / key
        with _say_elsewhere():
            lock = files.Lock.take(place)
            while lock is None and wait:
                time.sleep(_WAIT)
                lock = files.Lock.take(place)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.release()

    def require_room(self, needed: float) -> None:
        """Make sure that the disk can take so many bytes.

        Raises:
            InputError: it cannot.
        """
        _require_room(self.folder, self.folder, needed)


def require_usable(folder: Path, needed: float = 0.0) -> None:
    """Make sure that a folder is a store or can become one, and leave it as it is.

    Args:
        folder: in any spelling, whether or not it is there.
        needed: bytes that a new store will take.

    Raises:
        InputError: it holds something else, or cannot be written or made; or the disk has no room.
    """
    folder = _at_home(folder)
    if is_store(folder):
        return
    try:
        place = next(path for path in (folder, *folder.parents) if path.exists())
        if not place.is_dir():
            raise InputError(f"store {folder}: {place} is a file; expected a folder")
        if place == folder:
            _refuse_others(folder)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=place):
            pass
        _require_room(folder, place, needed)
    except OSError as error:
        raise InputError(f"store {folder}: cannot be written ({reason(error)}); {_ELSEWHERE}") from error


def _require_room(folder: Path, place: Path, needed: float) -> None:
    """Make sure that the disk of ``place`` can take what a store needs.

    Raises:
        InputError: it cannot.
    """
    free = shutil.disk_usage(place).free
    if needed + _SPARE > free:
        room = f", segxfer3d data store {folder} --clear makes room" if is_store(folder) else ""
        raise InputError(
            f"store {folder}: {size_text(needed)} are needed, {size_text(free)} are free; {_ELSEWHERE}{room}"
        )


@contextmanager
def _say_elsewhere() -> Iterator[None]:
    """What cannot be written may be written on another disk."""
    try:
        yield
    except InputError as error:
        raise InputError(f"store: {error}; {_ELSEWHERE}") from error


def _begin(folder: Path) -> None:
    """Make a store of a folder that is new or empty; others may be about to as well.

    Raises:
        InputError: it is neither, or cannot be written.
    """
    files.make_folder(folder)
    try:
        if _refuse_others(folder):
            return
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as own:
            files.write_json(Path(own) / MARK, {"format": FORMAT})
            (Path(own) / MARK).replace(folder / MARK)
    except OSError as error:
        raise InputError(f"store {folder}: cannot be written ({reason(error)}); {_ELSEWHERE}") from error


def _refuse_others(folder: Path) -> bool:
    """Refuse a folder with something else in it; whether it is a store by now, which others may have begun.

    Raises:
        InputError: it is no store and not empty.
    """
    strange = [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if is_store(folder):
        return True
    if MARK in strange:
        raise InputError(f"store {folder}: {MARK} is damaged; remove the folder, or use another one")
    if strange:
        raise InputError(f"store {folder}: holds {strange[0]}; expected a new or empty folder, or a store of volumes")
    return False


def is_store(folder: Path) -> bool:
    """Whether a folder is a store."""
    try:
        mark = documents.read(folder / MARK)
    except InputError:
        return False
    return isinstance(mark, dict) and mark.get("format") == FORMAT
