"""The bundles that come with the package: in its folder ``_bundles``, which in the repository is a link."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from segxfer3d.errors import InputError, closest, some

ENDINGS = (".json", ".yaml", ".yml")


@cache
def shipped_folder() -> Path:
    """The folder with the bundles of this package, their studies and ``options.json``.

    Raises:
        InputError: they are missing: the installation is damaged.
    """
    folder = Path(__file__).parent.parent / "_bundles"  # in the repository, a link to bundles
    if not (folder / "options.json").is_file():
        raise InputError(f"{folder}: the bundles are missing; install segxfer3d again")
    return folder.resolve()


def find_bundle(name: str, *, beside: tuple[Path, ...] = ()) -> Path:
    """A bundle by its path, or by its name (with or without ending): beside others, or among the shipped ones.

    Raises:
        InputError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    # a path with a folder in it is a path; only bundles/NAME.json stands for the bundle of that name wherever it is
    endings = [""] if path.suffix in ENDINGS else list(ENDINGS)
    names = [path.name + ending for ending in endings] if str(path.parent) in (".", "bundles") else []
    for folder in (*beside, shipped_folder()):
        for candidate in names:
            if (folder / candidate).is_file():
                return folder / candidate
    known = bundle_names()
    if "," in name:
        raise InputError(f"bundle {name}: no such file; several stand one behind the other, without commas")
    near = closest(path.stem, known)
    hint = f"did you mean {near}?" if near else f"expected a path, or one of {', '.join(known)}"
    raise InputError(f"bundle {name}: no such file; {hint}")


def bundle_names() -> list[str]:
    """The names of the shipped bundles that can be run."""
    left_out = ("metadata", "options", "smoke")
    return sorted(p.stem for p in shipped_folder().glob("*.json") if not p.stem.startswith(left_out))


def study_names() -> list[str]:
    """The names of the shipped studies."""
    return sorted(path.stem for path in (shipped_folder() / "studies").glob("*.json"))


def copy_bundles(folder: Path, *, force: bool = False) -> list[Path]:
    """Copy the shipped bundles and studies to ``folder/bundles``, so that they can be run and edited there.

    Args:
        folder: made where missing.
        force: replace what is there.

    Returns:
        the files written.

    Raises:
        InputError: files of these names are there already, all named (up to ten), or the folder cannot be written.
    """
    source, target = shipped_folder(), folder / "bundles"
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    places = {path: target / path.relative_to(source) for path in files}
    if not force and (there := [str(place) for place in places.values() if place.exists()]):
        raise InputError(f"{target}: holds files of these names already: {some(there)}; --force replaces them")
    try:
        for path, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error})") from error
    return list(places.values())
