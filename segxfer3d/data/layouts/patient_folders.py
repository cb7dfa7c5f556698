"""Folders of patients: where each case has a folder of its own, with an image and labels of known names in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from segxfer3d.data.case import Case
from segxfer3d.data.io.volumes import FORMATS, volume_name
from segxfer3d.data.layouts.declared import is_ignored
from segxfer3d.data.layouts.files_below import is_of_system
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import one_form, two_paths

DEPTH = 2  # folders between the data set's and a patient's, which archives make


def case_folders(root: Path, is_case: Callable[[Path], bool]) -> list[Path]:
    """The folders of cases below a folder, sorted; none is looked for in another.

    Args:
        root: the data set's folder.
        is_case: whether a folder is that of a case.
    """
    return sorted(_cases_in(root, is_case, DEPTH))


def _cases_in(folder: Path, is_case: Callable[[Path], bool], depth: int) -> Iterator[Path]:
    for inner in sorted(path for path in _entries(folder) if path.is_dir() and not is_of_system(path.name)):
        if is_case(inner):
            yield inner
        elif depth > 1:
            yield from _cases_in(inner, is_case, depth - 1)


def has_case(root: Path, is_case: Callable[[Path], bool]) -> bool:
    """Whether there is one."""
    return any(True for _ in _cases_in(root, is_case, DEPTH))


def volumes_called(folder: Path, *names: str) -> list[Path]:
    """The volume files of these names, without their endings, in a folder, in any spelling in large and small letters;
    in the order of the names."""
    there: dict[str, list[Path]] = {}
    for path in sorted(_entries(folder)):
        there.setdefault(path.name.lower(), []).append(path)
    wanted = (f"{name.lower()}{ending}" for name in dict.fromkeys(name.lower() for name in names) for ending in FORMATS)
    return [path for name in wanted for path in there.get(name, ())]


def volume_called(folder: Path, *names: str) -> Path | None:
    """The first of :func:`volumes_called`, if there is one."""
    return next(iter(volumes_called(folder, *names)), None)


def volumes_in(folder: Path) -> dict[str, Path]:
    """Name without ending to file, of the volumes in a folder, sorted."""
    return {name: paths[-1] for name, paths in _by_name(folder).items()}


def masks_in(folder: Path) -> dict[str, Path]:
    """As :func:`volumes_in`, of a folder in which each name should be there once.

    Raises:
        InputError: two files of one name, by their formats, their large letters or the form of their marks.
    """
    found = _by_name(folder)
    twice = [two_paths(*paths[:2]) for paths in found.values() if len(paths) > 1]
    refuse(folder, [f"{paths} (two files of one name)" for paths in twice])
    return {name: paths[0] for name, paths in found.items()}


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Name without ending to files."""
    found: dict[str, list[Path]] = {}
    for path in sorted(path for path in _entries(folder) if not path.name.startswith(".")):
        if (name := volume_name(path)) and path.is_file():
            found.setdefault(name, []).append(path)
    return found


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where it cannot be opened."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def refuse(place: object, problems: Sequence[str], hint: str = "") -> None:
    """What is wrong with a data set's files, all at once; the hint stands at the end.

    Raises:
        InputError: there is something.
    """
    if problems:
        raise InputError(f"{place}: images and labels do not match: {some(problems)}{hint}")


def name_of(folder: Path, folders: Sequence[Path], root: Path) -> str:
    """What a case is called: as its folder, or by the path to it where several folders have one name."""
    twice = sum(one_form(other.name) == one_form(folder.name) for other in folders) > 1
    return "_".join(folder.relative_to(root).parts) if twice else folder.name


def with_masks(
    name: str, image: Path, masks: dict[str, Path], classes: dict[int, str], *, folder: Path, patient: str
) -> tuple[Case, list[str]]:
    """A case whose label has a file for each class, and the classes of which there is none.

    Args:
        name: of the case.
        image: its image.
        masks: name of the class to file; those of no class are passed over.
        classes: value to name; with what is ignored, of which there need not be a mask.
        folder: of the masks.
        patient: of the case.
    """
    known = {key.casefold(): path for key, path in masks.items()}
    chosen = tuple((value, known[key.casefold()]) for value, key in classes.items() if key.casefold() in known)
    lacking = [key for key in classes.values() if key.casefold() not in known and not is_ignored(key)]
    return Case(name, image, folder if masks else None, patient, masks=chosen), lacking
