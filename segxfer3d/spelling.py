"""Names whose letters have marks, which systems store in two forms that look alike: a letter and its mark as one (NFC),
or the letter and then its mark (NFD, as programs on a Mac do; https://unicode.org/reports/tr15)."""

from __future__ import annotations

import unicodedata
from pathlib import Path

_ALIKE = " (they look alike: their letters with marks are stored in two forms)"


def one_form(text: str) -> str:
    """A text in the first of the two forms, in which names are compared.

    Example:
        >>> len("u\\u0308"), len(one_form("u\\u0308"))
        (2, 1)
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def on_disk(path: Path) -> Path:
    """A path as the disk spells it, where something wrote it in the other form.

    Args:
        path: of a file or a folder, as a ``dataset.json`` or a pattern says it.

    Returns:
        the only path that is there and has this spelling in one of the forms; ``path`` itself where it is there, or
        where none, or more than one, is.
    """
    if str(path).isascii() or path.exists() or path.parent == path:
        return path
    folder, wanted = on_disk(path.parent), one_form(path.name)
    try:
        there = [inner for inner in folder.iterdir() if one_form(inner.name) == wanted]
    except OSError:
        return path
    return there[0] if len(there) == 1 else path


def two_paths(one: object, other: object) -> str:
    """Two paths or names in words, with a hint where a reader cannot tell them apart.

    Example:
        >>> two_paths("a", "b")
        'a and b'
        >>> two_paths("u\u0308", "\u00fc").partition(" (")[2]
        'they look alike: their letters with marks are stored in two forms)'
    """
    alike = str(one) != str(other) and one_form(str(one)) == one_form(str(other))
    return f"{one} and {other}{_ALIKE if alike else ''}"
