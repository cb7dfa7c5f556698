"""Files of values, read: JSON that is what it should be, or a short error that names the file and the entry.

Kinds of the files that runs and studies leave stand in :mod:`segxfer3d.schema.own_files`, those of what users write
beside their readers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError, reason
from segxfer3d.schema.kinds import ANYTHING, OBJECT, Kind, refuse
from segxfer3d.schema.own_files import KINDS
from segxfer3d.schema.parsing import parse

BYTES = 2**30  # of one file


def read(path: Path, kind: Kind = ANYTHING, *, before: str = "", after: str = "", written: bool = False) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        kind: that it has to be of.
        before, after: what a message says beside the path and what is wrong.
        written: by this package, so that what is wrong is damage.

    Raises:
        InputError: it cannot be read, is no JSON, or of another kind.
    """
    try:
        text = text_of(path)
    except ValueError as error:
        raise InputError(f"{before}{path}: {error}{after}") from error
    try:
        content = parse(text)
        refuse(kind, content)
    except ValueError as error:
        raise InputError(f"{before}{path}: {f'damaged ({error})' if written else error}{after}") from error
    return content


def own(path: Path, *, before: str = "", after: str = "") -> Any:
    """The content of a file that a run, a study or a record left, of the kind that its name says.

    Raises:
        InputError: as :func:`read`.
    """
    return read(path, KINDS[path.name], before=before, after=after, written=True)


def lines(path: Path, kind: Kind = OBJECT) -> list[Any]:
    """The content of a file of JSON lines.

    Raises:
        InputError: as :func:`read`; the message has the number of the line.
    """
    contents = []
    number = 0
    try:
        for number, line in enumerate(text_of(path).splitlines(), 1):  # noqa: B007
            contents.append(parse(line))
            refuse(kind, contents[-1])
    except ValueError as error:
        raise InputError(f"{path}: {f'damaged (line {number}: {error})' if number else error}") from error
    return contents


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file.

    Raises:
        ValueError: it cannot be read, is larger than any such file, or no text.
    """
    try:
        if path.is_file() and (size := path.stat().st_size) > BYTES:
            raise ValueError(f"cannot be read ({size / 2**30:.3g} GiB; expected at most {BYTES / 2**30:g})")
        return path.read_bytes().decode(encoding)
    except UnicodeError as error:
        raise ValueError("cannot be read (no text in UTF-8)") from error
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or reason(error)})") from error
