"""Files of a run: written whole or not at all, by one process only."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from segxfer3d.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that ``path`` is at every moment either the old file or the whole new one.

    Raises:
        InputError: the file cannot be written (disk full, no permission); the old file is untouched.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As :func:`write_text`, of bytes.

    Raises:
        InputError: as there.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file to write to, which takes the place of ``path`` where the block ends well, and goes where it does not.

    Raises:
        InputError: the file cannot be written (disk full, no permission, no such folder, a name that the file system
            refuses); the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path} could not be saved ({error})") from error
    finally:
        with suppress(OSError):  # of a refused name there is no file, nor can it be asked for
            temporary.unlink()


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise InputError(f"{path} could not be written ({error})") from error


def lock(file: IO[Any], folder: Path) -> None:
    """Hold a file that is open for writing, until this process closes it or dies, however it dies.

    A POSIX record lock: loader processes do not inherit it, and file systems of clusters know it. Where a file
    system does not, there is no protection.

    Args:
        file: to lock.
        folder: whose file it is, for the message.

    Raises:
        InputError: another process holds it.
    """
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise InputError(
            f"output_dir: another process is writing to {folder}; wait for it, or give another --output_dir"
        ) from error
    except OSError:
        return
