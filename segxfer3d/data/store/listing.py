"""What lies in a store of volumes: listed, and cleared."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.data.store.entry import ABOUT, about_entry
from segxfer3d.data.store.place import IMAGES, IN_USE, LABELS, LOCKS, is_store
from segxfer3d.errors import InputError
from segxfer3d.machine import size_text

_DAY = 86400.0


@dataclass
class StoredSet:
    """The entries of one data set under one preprocessing.

    Attributes:
        data: name of the data set.
        preprocessing: of its images; empty of entries that are damaged.
        images: how many there are.
        labels: how many there are.
        bytes: what they take.
        used: when one of them was used last, in seconds since 1970.
    """

    data: str
    preprocessing: Mapping[str, Any]
    images: int = 0
    labels: int = 0
    bytes: int = 0
    used: float = 0.0

    def text(self) -> str:
        """In words."""
        if not self.preprocessing:
            return f"damaged or half written: {self.images + self.labels} entries, {size_text(self.bytes)}"
        days = int((time.time() - self.used) / _DAY)
        said = {key: value for key, value in self.preprocessing.items() if value is not None and key != "orientation"}
        how = ", ".join(f"{key} {_value(value)}" for key, value in said.items())
        last = "today" if days < 1 else f"{days} days ago"
        return f"{self.data}: {self.images} images, {self.labels} labels, {size_text(self.bytes)}, used {last} ({how})"


@dataclass
class Listing:
    """What a store holds.

    Attributes:
        folder: of the store.
        sets: of its entries.
    """

    folder: Path
    sets: list[StoredSet] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        return sum(each.bytes for each in self.sets)

    def text(self) -> str:
        """In words, to print."""
        free = shutil.disk_usage(self.folder).free
        lines = [
            f"{self.folder}: {size_text(self.bytes)}, {size_text(free)} free",
            *(f"  {each.text()}" for each in self.sets),
        ]
        return "\n".join(lines)


def list_store(folder: Path) -> Listing:
    """The sets of a store, the largest first.

    Raises:
        InputError: the folder is no store.
    """
    _require_store(folder)
    sets: dict[tuple[str, str], StoredSet] = {}
    for kind, path, about in _entries(folder):
        made_from = about.get("made_from", {})
        preprocessing = made_from.get("preprocessing", {})
        key = (str(about.get("data", "")), files.digest(preprocessing))
        known = sets.setdefault(key, StoredSet(key[0], preprocessing))
        known.images += kind == IMAGES
        known.labels += kind == LABELS
        known.bytes += _bytes(path)
        known.used = max(known.used, _used(path))
    return Listing(folder, sorted(sets.values(), key=lambda each: -each.bytes))


def clear_store(folder: Path, *, unused_days: float = 0.0) -> int:
    """Remove entries of a store; nothing else that lies in its folder.

    Args:
        folder: of the store.
        unused_days: those only that nobody used for so long; 0: all.

    Returns:
        the bytes that became free.

    Raises:
        InputError: the folder is no store, a program uses it, or something cannot be removed.
    """
    _require_store(folder)
    lock = files.Lock.take(folder / IN_USE)
    if lock is None:
        raise InputError(f"store {folder}: another program uses it; clear it when that has ended")
    try:
        freed, before, left = 0, time.time() - unused_days * _DAY, 0
        for _, path, _ in _entries(folder):
            if unused_days and _used(path) > before:
                continue
            size = _bytes(path)
            shutil.rmtree(path, ignore_errors=True)
            left += path.exists()
            freed += size - _bytes(path)
        shutil.rmtree(folder / LOCKS, ignore_errors=True)
    finally:
        lock.release()
    if left:
        raise InputError(f"store {folder}: {left} volumes cannot be removed; expected a folder that can be written")
    return freed


def _require_store(folder: Path) -> None:
    if not is_store(folder):
        raise InputError(f"{folder}: no store of preprocessed volumes")


def _entries(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Kind, path and what is known of each entry; of a half one, nothing is."""
    for kind in (IMAGES, LABELS):
        for path in sorted((folder / kind).iterdir()) if (folder / kind).is_dir() else ():
            if path.is_dir():
                yield kind, path, about_entry(path) or {}


def _bytes(path: Path) -> int:
    """What an entry takes; of one that is just written or goes, some of it."""
    total = 0
    for folder, _, names in os.walk(path):  # which passes over what goes away
        for name in names:
            with suppress(OSError):
                total += (Path(folder) / name).stat().st_size
    return total


def _used(path: Path) -> float:
    """When an entry was used last."""
    with suppress(OSError):
        return (path / ABOUT).stat().st_mtime
    return 0.0


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "x".join(_value(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
