"""The bundles that a study or a search names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import ENDINGS, shipped_folder
from segxfer3d.schema.kinds import PATH, fits, shown
from segxfer3d.study import trust
from segxfer3d.study.code import parse_config
from segxfer3d.study.definition import Bundle
from segxfer3d.study.documents import nearest
from segxfer3d.study.options import options_of
from segxfer3d.study.reading import Reader


def read_bundle(reader: Reader, entry: Any, where: str) -> Bundle | None:
    """The bundle that ``"config"`` of an entry names; None, and a problem, where there is none."""
    entry = reader.section(entry, where)
    reader.keys(entry, where, ("config", "knobs"))
    name = entry.get("config")
    if not fits(PATH, name) or not name:
        reader.problems.append(f'{where}: expected "config", the name of a bundle')
        return None
    places = list(_places(name, reader.file.absolute().parent))
    path = next((place.resolve() for place in places if place.is_file()), None)
    if path is None:
        there = sorted({p.stem for f in {place.parent for place in places} for p in f.glob("*") if p.suffix in ENDINGS})
        reader.problems.append(f"{where}.config: no bundle {shown(name)}{nearest(name, there)}")
        return None
    if why := trust.bundle_problem(path, reader.file.absolute().parent):
        reader.problems.append(f"{where}.config: {why}")
        return None
    try:
        config = parse_config(path)
        options = options_of(config)
        if not options:
            raise ValueError("no option stands at its top level")
    except ValueError as error:
        reader.problems.append(f"{where}.config: {path} is no bundle with knobs ({error})")
        return None
    return Bundle(path.stem, path, config, options)


def _places(name: str, folder: Path) -> Iterator[Path]:
    """Where a bundle may be: a path from the study file; a name beside it, in the folder above, or shipped."""
    if len(Path(name).parts) > 1:
        yield folder / Path(name).expanduser()
        return
    names = [name] if Path(name).suffix in ENDINGS else [name + ending for ending in ENDINGS]
    for place in (folder, folder.parent, shipped_folder()):
        yield from (place / candidate for candidate in names)
