"""What differs between two states of plain values, in words: the dotted name of each, and both values, short."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 60  # characters of a value
_BEFORE = 15  # of them, that stand before the first that differs
_ABSENT = object()


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """What is another than before, each as ``name was, not is``; nothing where all is the same.

    Args:
        before, now: plain values. Objects and lists that hold some are gone through, entry by entry.
        name: of the values; what is within follows a dot.

    Example:
        >>> changes({"loss": {"sigmoid": True}, "run": ["a"]}, {"loss": {}, "run": ["a", "b"]})
        ['loss.sigmoid true, not nothing', 'run.1 nothing, not b']
    """
    return [f"{place} {' not '.join(_pair(old, new))}" for place, old, new in _leaves(before, now, name)]


def _leaves(before: Any, now: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    if before == now:
        return
    inner = _entries(before), _entries(now)
    if inner[0] is None or inner[1] is None or type(before) is not type(now):
        yield name, before, now
        return
    keys = dict.fromkeys([*inner[0], *inner[1]])
    for key in keys if isinstance(before, list) else sorted(keys):
        yield from _leaves(
            inner[0].get(key, _ABSENT), inner[1].get(key, _ABSENT), f"{name}.{key}" if name else str(key)
        )


def _entries(value: Any) -> Mapping[str, Any] | None:
    """What is gone through; None for what is shown whole, as lists of numbers are."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and any(isinstance(item, (Mapping, list, str)) for item in value):
        return {str(number): item for number, item in enumerate(value)}
    return None


def _pair(before: Any, now: Any) -> tuple[str, str]:
    """Both values, each in so few characters that what differs is among them."""
    old, new = _text(before), _text(now)
    if old == new:  # "1" and 1
        old, new = json.dumps(before), json.dumps(now)
    alike = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, alike - _BEFORE)
    return f"{_cut(old, start)},", _cut(new, start)


def _text(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str, start: int) -> str:
    if len(text) <= _SHOWN:
        return text
    start = min(start, len(text) - _SHOWN + 3)
    head = "..." if start else ""
    rest = text[start:]
    return head + (rest if len(head + rest) <= _SHOWN else rest[: _SHOWN - len(head) - 3] + "...")
