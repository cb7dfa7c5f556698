"""The files below a folder: links are followed, and what systems leave among a user's files is passed over."""

from __future__ import annotations

import os
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
    walk = _Walk()
    walk.enter(folder, os.path.realpath(folder))
    while walk.links:  # after everything that is really there
        link = walk.links.pop(0)
        place = os.path.realpath(link)
        if place in walk.seen:
            walk.passed[str(link)] = LINKED_TWICE
        elif Path(place).is_dir():
            walk.enter(link, place)
        else:
            walk.seen.add(place)
            walk.files.append(link)
    return Below(tuple(sorted(walk.files, key=lambda path: (path.parent, path.name))), walk.passed)


def is_of_system(folder: str) -> bool:
    """Whether a folder is hidden or of the system, by its name."""
    return folder.startswith(".") or folder.lower() in _SYSTEM


class Folders(NamedTuple):
    """The folders at and below a folder.

    Attributes:
        files: folder to the names of its files that are not hidden, sorted.
        passed: links and files that are passed over -> why.
    """

    files: dict[Path, list[str]]
    passed: dict[str, str]


def folders_below(folder: Path) -> Folders:
    """Every folder but hidden ones and those of the system; links to folders are followed.

    A folder that can be reached in several ways counts once, by its own path where it lies below ``folder``. Files that
    are links count as files.
    """
    found, passed = Folders({}, {}), {}
    seen: set[str] = set()
    starts = [folder]
    while starts:  # links after everything that is really there
        start = starts.pop(0)
        if os.path.realpath(start) in seen:
            passed[str(start)] = LINKED_TWICE
            continue
        for place, names, files in os.walk(start):
            here = Path(place)
            real = os.path.realpath(here)
            if real in seen:
                names.clear()
                continue
            seen.add(real)
            starts += [here / name for name in sorted(names) if (here / name).is_symlink() and name[:1] != "."]
            for name in sorted(name for name in names if is_of_system(name) and name[:1] != "."):
                inside = [str(Path(at) / file) for at, _, inner in os.walk(here / name) for file in inner]
                passed |= dict.fromkeys(inside, f"in {name}")
            names[:] = sorted(name for name in names if not is_of_system(name) and not (here / name).is_symlink())
            found.files[here] = sorted(name for name in files if name[:1] != ".")
    return found._replace(passed=passed)


class _Walk:
    def __init__(self) -> None:
        self.files: list[Path] = []
        self.passed: dict[str, str] = {}
        self.links: list[Path] = []
        self.seen: set[str] = set()  # real paths of folders, and of files that a link led to

    def enter(self, folder: Path, place: str) -> None:
        self.seen.add(place)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = folder / entry.name
            if entry.is_symlink():
                if not entry.name.startswith("."):
                    self._link(path)
            elif entry.is_dir():
                if is_of_system(entry.name):
                    self._pass_over(path)
                else:
                    self.enter(path, os.path.join(place, entry.name))  # noqa: PTH118
            elif entry.name.startswith("."):
                self.passed[str(path)] = "hidden"
            else:
                self.files.append(path)
                self.seen.add(os.path.join(place, entry.name))  # noqa: PTH118

    def _link(self, path: Path) -> None:
        if path.exists():
            self.links.append(path)
        else:
            self.passed[str(path)] = "a link to nothing"

    def _pass_over(self, folder: Path) -> None:
        """Count the files of a folder that is passed over."""
        why = "hidden" if folder.name.startswith(".") else f"in {folder.name}"
        for place, _, names in os.walk(folder):
            self.passed |= {str(Path(place) / name): why for name in names}
