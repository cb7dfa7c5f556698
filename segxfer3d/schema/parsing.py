"""JSON from anywhere, read strictly.

:func:`parse` refuses what Python's reader lets pass, and no program writes: a key that is there twice, thousands of
digits, a nesting without end, half a letter. What the content may be says a :class:`~segxfer3d.schema.kinds.Kind`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

DEPTH = 100  # of objects and lists in each other
TOO_DEEP = f"more than {DEPTH} lists and objects in each other"
DIGITS = 300  # of a whole number, which fits a float then
VALUES = 10_000_000  # in one file; YAML's references can make any number of few
_HALF = re.compile(r"[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udc7f\udd00-\udfff]")

Pairs = Callable[[list[tuple[str, Any]]], Any]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, each of whose keys is there once; Python would keep the last one.

    Raises:
        ValueError: one is there twice.
    """
    entries = dict(pairs)
    if len(entries) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {key[:60]!r} is there twice; expected it once")
    return entries


def parse(text: str, pairs: Pairs = once) -> Any:
    """The content of a JSON text.

    Args:
        text: of the file.
        pairs: makes an object of its keys and values.

    Raises:
        ValueError: it is none, or one that no program writes; the message is short.
    """
    try:
        content = json.loads(text, object_pairs_hook=pairs, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error})") from error
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    check(content)
    return content


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits; expected at most {DIGITS}")
    return int(text)


def check(content: Any) -> None:
    """Refuse content that other functions would stumble over, of whatever text.

    Raises:
        ValueError: too deep, too many values (a few references of YAML make billions), or text with half a letter (a
            surrogate alone), which no file can have.
    """
    level, count = [content], 0
    for _ in range(DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _refuse_half_letters(value)
            elif isinstance(value, dict):
                below += value.keys()
                below += value.values()
            elif isinstance(value, list):
                below += value
            if len(below) + count > VALUES:
                raise ValueError(f"more than {VALUES} values")
        count += len(below)
        level = below
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _refuse_half_letters(text: str) -> None:
    """Bytes of names that are no text stand as U+DC80 to U+DCFF, as Python has them; other halves mean nothing."""
    if not text.isascii() and (half := _HALF.search(text)):
        raise ValueError(f"text with half a letter (U+{ord(half[0]):04X})")
