"""Paths of a machine, out of what is kept for others: they say nothing there, and are nobody's matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segxfer3d.config.shipped import shipped_folder

BUNDLES = "bundles"  # what the folder of the shipped bundles is called


class Cleaner:
    """Replaces paths of this machine in plain values: below the study's folder by what is below it, others by a name.

    Args:
        root: the study's folder.
        others: further paths of this machine, such as data folders; each becomes ``./NAME`` wherever it stands.

    Example:
        >>> Cleaner(Path("/runs/demo"), ["/data/lungs"]).value({"data": "/data/lungs", "at": "/runs/demo/finetune/a"})
        {'data': './lungs', 'at': 'finetune/a'}
    """

    def __init__(self, root: Path, others: Iterable[str] = ()) -> None:
        shipped = shipped_folder()
        elsewhere = [path for path in map(Path, others) if path.is_absolute() and path.name]
        named = {str(path): f"./{path.name}" for path in elsewhere if shipped not in path.parents}
        roots = {str(place) for place in (root.absolute(), root.resolve())}
        below = {f"{place}/": "" for place in roots}
        self._names = {str(shipped): BUNDLES, **dict.fromkeys(roots, "."), **below, **named}
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
