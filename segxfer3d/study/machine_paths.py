"""Paths of a machine, out of what is kept for others: they say nothing there, and are nobody's matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import shipped_folder
from segxfer3d.schema.kinds import PATH, fits

BUNDLES = "bundles"  # what the folder of the shipped bundles is called, and the entry of study.json that says where


class Cleaner:
    """Replaces paths of this machine in plain values: below the study's folder by what is below it, others by a name.

    Args:
        root: the study's folder.
        others: further paths of this machine, such as data folders; each becomes ``./NAME`` wherever it stands.
        bundles: folders of shipped bundles, where they are those of other checkouts than this one.

    Example:
        >>> Cleaner(Path("/runs/demo"), ["/data/lungs"]).value({"data": "/data/lungs", "at": "/runs/demo/finetune/a"})
        {'data': './lungs', 'at': 'finetune/a'}
    """

    def __init__(self, root: Path, others: Iterable[str] = (), bundles: Iterable[str] = ()) -> None:
        shipped = {shipped_folder(), *map(Path, bundles)}
        elsewhere = [path for path in map(Path, others) if path.is_absolute() and path.name]
        named = {str(path): f"./{path.name}" for path in elsewhere if not shipped & {*path.parents}}
        roots = {str(place) for place in (root.absolute(), root.resolve())}
        below = {f"{place}/": "" for place in roots}
        self._names = {**dict.fromkeys(map(str, shipped), BUNDLES), **dict.fromkeys(roots, "."), **below, **named}
        longest = sorted(self._names, key=len, reverse=True)
        ends = [re.escape(path) + ("" if path.endswith("/") else r"(?![\w.-])") for path in longest]
        self._known = re.compile(f"({'|'.join(ends)})")

    def text(self, text: str) -> str:
        """A text without paths of this machine."""
        text = self._known.sub(lambda found: self._names[found[1]], text)
        return f"./{Path(text).name}" if Path(text).is_absolute() and Path(text).name else text

    def value(self, value: Any) -> Any:
        """Plain values, inner ones and keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(inner) for inner in value]
        return value


def absolute_paths(values: Mapping[str, Any]) -> list[str]:
    """Those of the values that are absolute paths."""
    return [value for value in values.values() if isinstance(value, str) and Path(value).is_absolute()]


def bundle_folders(study: Mapping[str, Any], configs: Iterable[str]) -> frozenset[str]:
    """Where the shipped bundles lay when a study was begun, maybe in another checkout than this one.

    Args:
        study: content of ``study.json``, which says it; one of earlier versions does not, then the folders do, as long
            as they are there.
        configs: paths of the bundles of its trials.
    """
    said = study.get(BUNDLES)
    if isinstance(said, str) and fits(PATH, said) and Path(said).is_absolute():
        return frozenset([said])
    return frozenset(str(folder) for folder in {Path(path).parent for path in configs} if _is_shipped(folder))


def _is_shipped(folder: Path) -> bool:
    """Whether a folder is that of the shipped bundles, of this installation of the package or of another one."""
    inside = Path("segxfer3d", "_bundles")
    return folder.parts[-2:] == inside.parts or (folder.parent / inside).resolve() == folder.resolve()
