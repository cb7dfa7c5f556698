"""What files from others may do: nothing but choose values, unless the user trusts them (``--trust``).

MONAI evaluates text that begins with ``$`` as Python, and puts what a file says in the place of ``%file``; a bundle is
code as a script is. So a study or search file, and the list of trials of a study's folder, may set knobs to plain
values and name the bundles of this package, or those that lie with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import shipped_folder
from segxfer3d.schema.kinds import shown

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)
HINT = "--trust runs it, if you trust whoever wrote it"


@contextmanager
def everything() -> Iterator[None]:
    """Inside, files are trusted."""
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


def value_problem(value: Any) -> str:
    """Why a knob's value is refused; empty where it is plain, or trusted.

    Args:
        value: as the file has it; ``$None`` is plain.
    """
    if _trusted.get() or not isinstance(value, str) or not value.startswith(("$", "%")) or value == "$None":
        return ""
    what = "Python code" if value.startswith("$") else "a part of another file"
    return f"{shown(value)} is {what}, which MONAI would run; {HINT}"


def bundle_problem(path: Path, beside: Path | None = None) -> str:
    """Why a bundle is refused; empty where it comes with the package, lies with the file that names it, or is trusted.

    Args:
        path: of the bundle.
        beside: the folder of the file that names it; bundles lie in it, or in the one above, where ``segxfer3d bundles
            copy`` puts them. None: only bundles of this package count.
    """
    path = path.resolve()
    near = beside is not None and path.parent in (beside.resolve(), beside.resolve().parent)
    near = near or (beside is not None and beside.resolve() in path.parents)
    if _trusted.get() or near or is_shipped(path):
        return ""
    where = "neither one of this package nor beside the file" if beside is not None else "none of this package"
    return f"the bundle {path} is {where}, and a bundle is code; {HINT}"


def is_shipped(path: Path) -> bool:
    """Whether a bundle is, to the byte, one that comes with the package, wherever it lies."""
    own = shipped_folder() / path.name
    try:
        return own.is_file() and own.read_bytes() == path.read_bytes()
    except OSError:
        return False
