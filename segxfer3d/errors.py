"""The one exception for input that a user can mend, and how its messages list things."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

STOPPED = 130  # exit status of what Ctrl-C ended, as shells have it


class InputError(ValueError):
    """Bad input: a file, a folder, a knob or a checkpoint that cannot be used.

    The message stands alone: it names the culprit (the path or the knob) and says what was expected, so that
    the command line can show it without a traceback.
    """


def reason(error: OSError) -> str:
    """Why the system refused, in a few words."""
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        # of a file that is yet to be the name says nothing: what is in its way is a file above it
        path = Path(os.fsdecode(error.filename)) if error.filename else None
        found = next((place for place in (path, *path.parents) if place.is_file()), path) if path else None
        return f"expected a folder, found a file{f': {found}' if found else ''}"
    return f"[Errno {error.errno}] {error.strerror}" if error.strerror else str(error)


@contextmanager
def of_case(case: str) -> Iterator[None]:
    """What is refused of a case names it.

    Raises:
        InputError: what was raised, with the case in front.
    """
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{case}: "):
            raise
        raise InputError(f"case {case}: {error}") from error


def installed_with(extra: str) -> str:
    """The command that installs what an extra of this package needs, also from a clone that was never installed.

    Args:
        extra: its name in ``pyproject.toml``.
    """
    root = Path(__file__).parents[1]
    if (root / "pyproject.toml").is_file():
        return f"pip install -e '{root}[{extra}]'"
    return f"pip install 'segxfer3d[{extra}]'"


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known name that is most like ``name``; empty where none is like it.

    Args:
        name: as typed.
        known: all names there are.
        cutoff: how like it has to be, from 0 to 1 (the same).

    Example:
        >>> closest("ecoder", ["encoder", "decoder"]), closest("head", ["encoder"])
        ('encoder', '')
    """
    import difflib  # only where something is wrong

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def shortened(items: Iterable[object], most: int = 10) -> list[str]:
    """The first ``most`` of a list in words, and how many more there are as its last line.

    Example:
        >>> shortened("abcd", 2)
        ['a', 'b', 'and 2 more']
    """
    texts = [str(item) for item in items]
    return texts[:most] + ([f"and {len(texts) - most} more"] if len(texts) > most else [])


def some(items: Iterable[object], most: int = 10, separator: str = "; ", *, last: str | None = None) -> str:
    """Join what a message lists: the first ``most`` of it, and how many more there are.

    Args:
        items: all of them.
        most: of them that are named.
        separator: between them.
        last: what stands before "and 2 more"; by default the separator.

    Example:
        >>> some("abcd", 2, ", ")
        'a, b, and 2 more'
    """
    texts = list(items)
    listed = separator.join(map(str, texts[:most]))
    rest = shortened(texts, most)[most:]
    return listed + "".join((separator if last is None else last) + text for text in rest)


def way_on(option: str, *, left: bool) -> str:
    """The end of a message on bad cases: the option that goes on without them.

    Args:
        option: as it is typed; empty where the command has none.
        left: whether there are others to go on with.

    Example:
        >>> way_on("--skip_bad_cases True", left=True), way_on("--skip_bad_cases True", left=False)
        ('; --skip_bad_cases True goes on without them', '')
    """
    return f"; {option} goes on without them" if option and left else ""


def numbered(count: int, one: str, several: str) -> str:
    """How many there are, and what is said of one or of several.

    Example:
        >>> numbered(1, "file is", "files are"), numbered(2, "file is", "files are")
        ('1 file is', '2 files are')
    """
    return f"{count} {one if count == 1 else several}"


def once_each(problems: Mapping[str, str], most: int = 3) -> list[str]:
    """A line on each problem of cases; what is wrong with more than ``most`` alike is said once, with who they are.

    Args:
        problems: name of a case -> what is wrong, which may begin with its name, or the file that it is in.
        most: cases of one problem that have a line each.

    Example:
        >>> once_each({"a": "d/a.nii: no room", "b": "d/b.nii: no room", "c": "d/c.nii: empty"}, most=1)
        ['d/c.nii: empty', 'd/a.nii: no room; and so 1 more: b']
    """
    alike: dict[str, list[str]] = {}
    for name, problem in problems.items():
        head, colon, rest = problem.partition(": ")
        alike.setdefault(rest if colon and (os.sep in head or head == name) else problem, []).append(name)
    alone = [problems[name] for names in alike.values() if len(names) <= most for name in names]
    return alone + [
        f"{problems[names[0]]}; and so {len(names) - 1} more: {', '.join(names[1:])}"
        for names in alike.values()
        if len(names) > most
    ]
