"""Files on disk: written whole or not at all, locked, and told apart by fingerprints.

Everything that a run, a study or a report leaves is written here: UTF-8, atomic, and with a short error where the disk
or a name is at fault. There are two kinds of lock. :func:`lock` is a POSIX record lock, which belongs to a process and
ends with it: no two processes write one run. :class:`Lock` is an ``flock``, which belongs to an open file: a training
that inherited it holds it after the runner died.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from segxfer3d.cells import cell_text
from segxfer3d.errors import InputError, reason

DIGITS = 16  # of a fingerprint, hexadecimal
_PART = ".part-"  # how files begin that are being written
_SHOWN = 120  # characters of a path, where the path is what is wrong


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[IO[bytes]]:
    """A new file to write to, which takes the place of ``path`` where the block ends well, and goes where it does not.

    So ``path`` is at every moment either the old file or the whole new one.

    Args:
        path: of the file; its folder has to exist.
        sync: have the system put it on disk before it takes the place of the old one.

    Raises:
        InputError: the file cannot be written (disk full, no permission, no such folder, a name that the file system
            refuses); the old file is untouched.
    """
    with replacing_path(path) as temporary, temporary.open("wb") as file:
        yield file
        if sync:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def replacing_path(path: Path, ending: str = "") -> Iterator[Path]:
    """As :func:`replacing`, for what writes by a path: one beside ``path``, with this ending.

    Raises:
        InputError: as :func:`replacing`.
    """
    temporary = _beside(path)
    temporary = temporary.with_name(temporary.name + ending)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{_short(path)} could not be saved ({reason(error)})") from error
    finally:
        with suppress(OSError):  # of a refused name there is no file, nor can it be asked for
            temporary.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write to, beside ``path``; it becomes ``path``, which must be new or empty, where all went well.

    Raises:
        InputError: as :func:`replacing`.
    """
    temporary = _beside(path.absolute())
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(path.absolute())
    except OSError as error:
        raise InputError(f"{_short(path)} could not be saved ({reason(error)})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: as :func:`replacing`.
    """
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """As :func:`write_bytes`, with its errors, of text; what UTF-8 cannot say (a name that is no text) is written as an
    escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """As :func:`write_text`, of plain values; others are written as text."""
    write_text(path, json.dumps(content, indent=1, default=str) + "\n")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """As :func:`write_text`, of a table (CSV).

    Args:
        path: of the file.
        rows: column to value; a column that a row lacks is left empty. Text that a spreadsheet would run is written as
            :func:`~segxfer3d.cells.cell_text` says.
        columns: in this order; by default those of the rows, as they come.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns or list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows({column: cell_text(value) for column, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")
    except OSError as error:
        raise InputError(f"{_short(path)} could not be written ({reason(error)})") from error


def make_folder(path: Path, *, parents: bool = True) -> None:
    """Make a folder and, with ``parents``, those above it, where they are missing.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise InputError(f"{_short(path)} cannot be written ({reason(error)})") from error


def _beside(path: Path) -> Path:
    """Where the content of ``path`` is gathered; never longer than a file system takes."""
    return path.with_name(f"{_PART}{names_hash([path.name])}")


def parts(folder: Path) -> list[Path]:
    """What is written into a folder now, or was when its process was killed."""
    return list(folder.glob(f"{_PART}*"))


def sweep(folder: Path) -> None:
    """Remove what a killed process left of files that it was writing into a folder which nobody else writes to now."""
    with suppress(OSError):
        for path in parts(folder):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _short(path: Path) -> str:
    text = str(path)
    return text if len(path.name) <= _SHOWN else f"{text[:_SHOWN]}…"


def lock(file: IO[Any], folder: Path) -> None:
    """Hold a file that is open for writing, until this process closes it or dies, however it dies.

    A POSIX record lock: loader processes do not inherit it, and file systems of clusters know it. Where a file
    system does not, there is no protection.

    Raises:
        InputError: another process holds it; the message names the folder whose file it is.
    """
    with suppress(OSError):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"output_dir: another process is writing to {folder}; wait for it, or give another --output_dir"
            ) from error


class Lock:
    """An ``flock``, held through an open file.

    It belongs to the open file and not to the process, so a training that was given its number goes on holding it when
    the runner is killed; a runner that is started again waits for that training instead of starting a second one. Where
    a file system knows no locks, there is no protection.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    @staticmethod
    def take(path: Path, shared: bool = False) -> Lock | None:
        """Hold ``path`` (made where missing); None where another one holds it.

        Args:
            path: of the lock file.
            shared: hold it together with others that share it, for which it is enough that it can be read.

        Raises:
            InputError: the file cannot be made.
        """
        make_folder(path.parent)
        try:
            read_only = shared and path.is_file() and not os.access(path, os.W_OK)
            number = os.open(path, os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"{_short(path)} cannot be written ({reason(error)})") from error
        with suppress(OSError):
            try:
                fcntl.flock(number, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(number)
                return None
        return Lock(number)

    def release(self) -> None:
        """Let go; a training that inherited the lock still holds it."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


def held(path: Path) -> bool:
    """Whether somebody holds ``path``; nothing is made."""
    if not path.is_file():
        return False
    lock = Lock.take(path, shared=True)
    if lock is None:
        return True
    lock.release()
    return False


def digest(content: Any) -> str:
    """A short fingerprint of plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


def names_hash(names: Iterable[str]) -> str:
    """A short fingerprint of a set of names, such as those of cases, in whatever order."""
    text = "\n".join(sorted(names))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]


def file_identity(path: Path) -> str:
    """A short fingerprint of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError as error:
        raise InputError(f"{_short(path)} cannot be read ({reason(error)})") from error
    return total.hexdigest()[:DIGITS]


def folder_identity(folder: Path) -> str:
    """A short fingerprint of the names and sizes of all files below a folder, hidden ones left out.

    Not of where the folder lies. Files are not opened: one that is replaced by another of the same size goes unnoticed.

    Raises:
        InputError: the folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{_short(folder)} cannot be read ({reason(error)})") from error

    entries = []
    for place, inner, names in os.walk(folder, onerror=refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file():
                entries.append((path.relative_to(folder).as_posix(), path.stat().st_size))
    return digest(entries)
