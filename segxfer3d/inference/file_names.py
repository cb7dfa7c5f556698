"""Names of cases and classes, which are any text, as names of files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

NAME_BYTES = 110  # of each; with both, an ending and what is added in between a file's name stays below 255

# what Windows has for devices, with any ending (https://learn.microsoft.com/windows/win32/fileio/naming-a-file)
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE | re.DOTALL)
_NO_NAME = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def file_name(name: str) -> str:
    """A name as a part of a file's name, the same one every time: no path, no device, nothing too long.

    A name that no file system minds stays as it is. Any other has ``_`` for what cannot be, and ends with digits of its
    hash, so that ``left/right`` is not ``left_right``.

    Args:
        name: of a case or a class.

    Example:
        >>> file_name("left lung"), file_name("left/right"), file_name("..")
        ('left lung', 'left_right_9fe534ec', '_5ec1f7e7')
    """
    content = name.encode("utf-8", "surrogateescape")
    plain = _NO_NAME.sub("_", name).strip(". ")
    if plain == name and name and not _DEVICES.fullmatch(name) and len(content) <= NAME_BYTES:
        return name
    end = "_" + hashlib.sha256(content).hexdigest()[:8]
    start = plain.encode("utf-8", "surrogateescape")[: NAME_BYTES - len(end)].decode("utf-8", "ignore")
    return start.rstrip(". ") + end


def class_file_names(classes: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Value to :func:`file_name` of each class; a class that has its name with another one (``LV`` and ``lv`` are one
    file on some systems) has its value after it, as often as it takes to be the only one.

    Example:
        >>> class_file_names([(1, "LV"), (2, "lv"), (3, "LV_1")])
        {1: 'LV_1_1', 2: 'lv_2', 3: 'LV_1'}
    """
    named = {value: file_name(name) for value, name in classes}
    counts = Counter(name.lower() for name in named.values())
    taken = {name for name, count in counts.items() if count == 1}
    for value, name in named.items():
        if counts[name.lower()] > 1:
            while (name := f"{name}_{value}").lower() in taken:
                pass
            taken.add(name.lower())
            named[value] = name
    return named
