"""What files from others may do: nothing but choose values, unless the user trusts them (``--trust``).

MONAI evaluates text that begins with ``$`` as Python, and puts what a file says in the place of ``%file``; a bundle is
code as a script is. So a study or search file, and the list of trials of a study's folder, may set knobs to plain
values and name the bundles of this package; a study or search file also those that lie in its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import find_bundle, shipped_folder
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import shown

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)
HINT = "--trust runs it, if you trust whoever wrote it"
BUNDLES = ("pretrain_config",)  # knobs that name a bundle
_DEPTH = 8  # lists in lists, and quotes in quotes
_DEEP = f"has lists or quotes in each other without end; {HINT}"


@contextmanager
def everything() -> Iterator[None]:
    """Inside, files are trusted."""
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


def is_given() -> bool:
    """Whether files are trusted here."""
    return _trusted.get()


def knob_problem(name: str, value: Any, beside: Path | None = None) -> str:
    """Why a knob of a file is refused; empty where its value is plain, or trusted.

    Args:
        name: of the knob; one that names a bundle may name those that :func:`bundle_problem` lets pass.
        value: as the file has it; ``$None`` is plain. Text is looked at as the command line of a trial would read it.
        beside: see :func:`bundle_problem`.
    """
    if _trusted.get():
        return ""
    if why := _value_problem(value):
        return why
    if name not in BUNDLES or not value or value == "$None":
        return ""
    try:
        return bundle_problem(find_bundle(str(value)), beside)
    except InputError as error:
        return str(error)


def _value_problem(value: Any, depth: int = _DEPTH) -> str:
    if isinstance(value, Mapping):
        return f"{shown(value)} is an object, which MONAI would build; {HINT}"
    if isinstance(value, (list, tuple)):
        return next((why for item in value if (why := _value_problem(item, depth - 1))), "") if depth else _DEEP
    if not isinstance(value, str) or value == "$None":
        return ""
    if value.lstrip().startswith(("$", "%")):
        what = "Python code" if value.lstrip().startswith("$") else "a part of another file"
        return f"{shown(value)} is {what}, which MONAI would run; {HINT}"
    read = _as_command_line(value)
    if isinstance(read, str) and read == value:
        return ""
    return _value_problem(read, depth - 1) if depth else _DEEP


@lru_cache(maxsize=10_000)  # the trials of a study have mostly the same values
def _as_command_line(text: str) -> Any:
    """What a command line makes of text: it takes quotes away, and makes lists and objects."""
    from fire.parser import DefaultParseValue

    try:
        return DefaultParseValue(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # so does whoever reads the trial's
        return text


def bundle_problem(path: Path, beside: Path | None = None) -> str:
    """Why a bundle is refused; empty where it comes with the package, lies with the file that names it, or is trusted.

    Args:
        path: of the bundle.
        beside: the folder of the file that names it, in which bundles lie, not above or below it. None: only bundles of
            this package count.
    """
    path = path.resolve()
    if _trusted.get() or (beside is not None and path.parent == beside.resolve()) or is_shipped(path):
        return ""
    where = "none of this package" if beside is None else "neither one of this package nor in the folder of the file"
    return f"the bundle {path} is {where}, and a bundle is code; {HINT}"


def is_shipped(path: Path) -> bool:
    """Whether a bundle is, to the byte, one that comes with the package, wherever it lies."""
    own = shipped_folder() / path.name
    try:
        return own.is_file() and own.read_bytes() == path.read_bytes()
    except OSError:
        return False
