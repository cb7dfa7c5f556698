"""The files below a folder: links are followed, and what systems leave among a user's files is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# folders of network storage, of Windows and of archives packed on a Mac, in lower case; thumbnails lie in some of them
_SYSTEM = {
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "#recycle", "#snapshot", "__macosx",
    "$recycle.bin", "system volume information", "lost+found", "__pycache__", "thumbnails", "thumbs", "_thumbs",
}  # fmt: skip
LINKED_TWICE = "reached by a link too"


class Below(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: in the order of their paths, folders after the files beside them; links have the paths of the links.
        passed: files and folders that are passed over -> why.
    """

    files: tuple[Path, ...]
    passed: dict[str, str]


def files_below(folder: Path) -> Below:
    """Every file at any depth but hidden ones and those of the system.

    A folder or a file that can be reached in several ways counts once, by its own path where it lies below ``folder``,
    so that no image is there twice.
    """
    below = folders_below(folder)
    passed = dict(below.passed)
    for hidden in below.hidden:
        passed |= dict.fromkeys(map(str, _inside(hidden) if hidden.is_dir() else [hidden]), "hidden")
    files: list[Path] = []
    seen: set[str] = set()  # real paths
    links = set(below.links)
    for here, names in below.files.items():
        place = os.path.realpath(here)
        there = [name for name in names if here / name not in links]
        files += [here / name for name in there]
        seen |= {os.path.join(place, name) for name in there}  # noqa: PTH118
    for link in below.links:  # after everything that is really there
        place = os.path.realpath(link)
        if not link.exists():
            passed[str(link)] = "a link to nothing"
        elif place in seen:
            passed[str(link)] = LINKED_TWICE
        else:
            seen.add(place)
            files.append(link)
    return Below(tuple(sorted(files, key=lambda path: (path.parent, path.name))), passed)


def is_of_system(folder: str) -> bool:
    """Whether a folder is hidden or of the system, by its name."""
    return folder.startswith(".") or folder.lower() in _SYSTEM


class Folders(NamedTuple):
    """The folders at and below a folder.

    Attributes:
        files: folder to the names of its files that are not hidden, sorted.
        passed: links to folders, and files, that are passed over -> why.
        links: of the files, those that are links.
        hidden: files and folders that are hidden and no links, which are not looked into.
    """

    files: dict[Path, list[str]]
    passed: dict[str, str]
    links: list[Path]
    hidden: list[Path]


def folders_below(folder: Path) -> Folders:
    """Every folder but hidden ones and those of the system; links to folders are followed.

    A folder that can be reached in several ways counts once, by its own path where it lies below ``folder``. Files that
    are links count as files.
    """
    found = Folders({}, {}, [], [])
    seen: set[str] = set()  # real paths
    starts = [folder]
    while starts:  # links after everything that is really there
        start = starts.pop(0)
        place = os.path.realpath(start)
        if place in seen:
            found.passed[str(start)] = LINKED_TWICE
        else:
            starts += _enter(found, start, place, seen)
    return found


def _enter(found: Folders, here: Path, place: str, seen: set[str]) -> list[Path]:
    """Go through a folder, but not through what has been seen.

    Returns:
        the links to folders in it, at any depth.
    """
    if place in seen:
        return []
    seen.add(place)
    names, folders, links = found.files.setdefault(here, []), [], []
    try:
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError:
        found.passed[str(here)] = "cannot be opened"
        return []
    for entry in entries:
        path, link = here / entry.name, entry.is_symlink()
        if entry.name.startswith("."):
            found.hidden.extend([] if link else [path])
        elif not entry.is_dir():
            names.append(entry.name)
            found.links.extend([path] if link else [])
        elif link:
            links.append(path)
        elif is_of_system(entry.name):
            found.passed.update(dict.fromkeys(map(str, _inside(path)), f"in {entry.name}"))
        else:
            folders.append(entry.name)
    for name in folders:
        links += _enter(found, here / name, os.path.join(place, name), seen)  # noqa: PTH118
    return links


def _inside(folder: Path) -> Iterator[Path]:
    """Every file at any depth of a folder that is passed over."""
    return (Path(place) / name for place, _, names in os.walk(folder) for name in names)
