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
