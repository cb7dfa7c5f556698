"""Where preprocessed volumes lie on disk: the folder, its entries, and who may write or clear them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segxfer3d import files
from segxfer3d.data.store.checksums import file_checksum
from segxfer3d.errors import InputError

VARIABLE = "SEGXFER3D_STORE"  # of the environment: a folder instead of the usual one
MARK, ABOUT = "segxfer3d-store.json", "about.json"
IMAGES, LABELS = "images", "labels"  # the kinds of entries
IN_USE, LOCKS = "in-use.lock", "locks"
FORMAT = "segxfer3d-volumes"  # the entries say their version
_WAIT = 0.2  # seconds between two looks at what another process makes
_SPARE = 2**28  # bytes that stay free on the disk


def usual_folder() -> Path:
    """The folder of the environment variable, else one in the user's cache folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "segxfer3d" / "volumes"


class VolumeStore:
    """A folder of entries, each a folder of arrays that is there whole or not at all.

    Entries are named by what they were made from and how, so that one is never taken for another. Whoever has the store
    open holds its lock together with others; it is cleared only where nobody does.

    Args:
        folder: of the store.
        make: whether it is made where it is missing.

    Raises:
        InputError: a folder that holds something else, or that cannot be written.
    """

    def __init__(self, folder: Path, *, make: bool = True) -> None:
        self.folder = folder.expanduser().absolute()
        if not is_store(self.folder) and make:
            self._begin()
        lock = files.Lock.take(self.folder / IN_USE, shared=True) if self.exists else None
        if lock is None and self.exists:
            raise InputError(f"store {self.folder}: is being cleared; try again")
        if lock is not None:
            weakref.finalize(self, lock.release)

    def __reduce__(self) -> tuple[Any, ...]:
        return VolumeStore, (self.folder,)  # another process has a lock of its own

    @property
    def exists(self) -> bool:
        """Whether there is such a store."""
        return is_store(self.folder)

    def _begin(self) -> None:
        files.make_folder(self.folder)
        strange = [path.name for path in sorted(self.folder.iterdir()) if not path.name.startswith(".")]
        if strange and not is_store(self.folder):
            raise InputError(
                f"store {self.folder}: holds {strange[0]}; expected a new or empty folder, or a store of volumes"
            )
        files.write_json(self.folder / MARK, {"format": FORMAT})

    def path(self, kind: str, key: str) -> Path:
        """Of an entry, whether or not it is there."""
        return self.folder / kind / key

    def about(self, kind: str, key: str) -> dict[str, Any] | None:
        """What is known of an entry; None where there is none."""
        try:
            about: dict[str, Any] = json.loads((self.path(kind, key) / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return about

    def problem(self, kind: str, key: str, made_from: Mapping[str, Any]) -> str:
        """What is wrong with an entry; empty where its arrays are as they were written, and made from what they should
        be. It counts as used now."""
        about = self.about(kind, key)
        if about is None:
            return "missing" if not self.path(kind, key).exists() else "damaged"
        if about.get("made_from") != json.loads(json.dumps(made_from)):
            return "made by another preprocessing"
        for name, (size, checksum) in about["files"].items():
            path = self.path(kind, key) / name
            try:
                if path.stat().st_size != size or file_checksum(path) != checksum:
                    return "damaged"
            except OSError:
                return "damaged"
        with suppress(OSError):
            os.utime(self.path(kind, key) / ABOUT)
        return ""

    def write(
        self, kind: str, key: str, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any], *, made_from: Any
    ) -> None:
        """Write an entry; one that is there goes. The caller holds its lock, see :meth:`making`.

        Raises:
            InputError: it cannot be written, as where the disk is full; nothing is left of it.
        """
        path = self.path(kind, key)
        shutil.rmtree(path, ignore_errors=True)
        files.make_folder(path.parent)
        with files.new_folder(path) as partial:
            written = {}
            for name, array in arrays.items():
                with (partial / f"{name}.npy").open("wb") as file:
                    np.save(file, array, allow_pickle=False)
                    file.flush()
                    os.fsync(file.fileno())
                made = partial / f"{name}.npy"
                written[made.name] = [made.stat().st_size, file_checksum(made)]
            content = {"made_from": made_from, **about, "files": written}
            files.write_text(partial / ABOUT, json.dumps(content) + "\n")

    def array(self, kind: str, key: str, name: str) -> NDArray[Any]:
        """An array of an entry, as a private map of its file: what is not looked at is not read, and processes share
        what is.

        Raises:
            InputError: it is not there any more.
        """
        path = self.path(kind, key) / f"{name}.npy"
        try:
            return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: was changed or removed while it was in use; start again ({error})") from error

    @contextmanager
    def making(self, key: str, *, wait: bool = True) -> Iterator[bool]:
        """The right to make an entry, which one process has at a time, and loses when it dies.

        Args:
            key: of the entry.
            wait: until another process has made it or died; else False is given at once where one has the right.
        """
        place = self.folder / LOCKS / key
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
        free = shutil.disk_usage(self.folder).free
        if needed + _SPARE > free:
            raise InputError(
                f"store {self.folder}: {needed / 2**30:.3g} GiB are needed, {free / 2**30:.3g} are free; --store DIR "
                f"puts it on another disk, segxfer3d data store {self.folder} --clear makes room"
            )


def is_store(folder: Path) -> bool:
    """Whether a folder is a store."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("format") == FORMAT
