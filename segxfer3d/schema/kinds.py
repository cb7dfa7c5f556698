"""What an entry of a file may hold, and what is wrong where it holds something else.

Said are the place of the entry, what was found there, cut short, and what was expected. A library would do (jsonschema,
pydantic, msgspec); docs/choices.md says by numbers why none is here.

Example:
    >>> about = Entries({"seeds": ListOf(WHOLE), "name": TEXT})
    >>> first_problem(about, {"seeds": [0, 1.5], "name": "a"})
    'seeds[1]: expected a whole number, got 1.5'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from segxfer3d.schema.parsing import DIGITS

_NAME, _PATH = 255, 4096  # bytes that file systems take
_SHOWN = 60  # characters of a value, in messages


def shown(value: Any) -> str:
    """A value in a message, in few characters whatever it is.

    Example:
        >>> shown("text"), shown([1, 2]), shown(10**400)
        ("'text'", '[1, 2]', 'a number of more than 300 digits')
    """
    if isinstance(value, (dict, list, tuple)):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        if 0 < len(items) <= _SHOWN and all(item is None or isinstance(item, (str, int, float)) for item in items):
            text = repr(value) if max(map(_digits, items)) < _SHOWN else ""
            if 0 < len(text) <= _SHOWN:
                return text
        what = "an object" if isinstance(value, dict) else "a list"
        return f"{what} of {len(value)}" if value else f"an empty {what.split()[1]}"
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        return f"a number of more than {DIGITS} digits"
    if isinstance(value, str):
        cut = value[:_SHOWN] + ("…" if len(value) > _SHOWN else "")
        return repr(cut)
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value) if isinstance(value, (int, float)) else f"a {type(value).__name__}"


def _digits(value: Any) -> int:
    """Of a whole number, about; Python refuses to write very many."""
    return value.bit_length() // 3 if isinstance(value, int) else 0


class Kind(Protocol):
    """What a value may be."""

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """What is wrong with a value at a place, in words."""
        ...


def first_problem(kind: Kind, value: Any, where: str = "") -> str:
    """The first thing that is wrong with a value; empty where nothing is."""
    return next(kind.problems(value, where), "")


def refuse(kind: Kind, value: Any, where: str = "") -> None:
    """Raise the first thing that is wrong with a value.

    Raises:
        ValueError: something is.
    """
    if problem := first_problem(kind, value, where):
        raise ValueError(problem)


def fits(kind: Kind, value: Any) -> bool:
    """Whether nothing is wrong with a value."""
    return not first_problem(kind, value)


@dataclass(frozen=True)
class Plain:
    """A value that a function knows.

    Attributes:
        expected: in words.
        holds: whether a value is one.
    """

    expected: str
    holds: Callable[[Any], bool]

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """See :class:`Kind`."""
        if not self.holds(value):
            yield _unlike(where, self.expected, value)


@dataclass(frozen=True)
class ListOf:
    """A list.

    Attributes:
        item: what each may be.
        count: how many there are; None: any number.
    """

    item: Kind
    count: int | None = None

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """See :class:`Kind`."""
        if not isinstance(value, (list, tuple)) or self.count not in (None, len(value)):
            yield _unlike(where, "a list" if self.count is None else f"a list of {self.count}", value)
            return
        for number, item in enumerate(value):
            yield from self.item.problems(item, f"{where}[{number}]")


@dataclass(frozen=True)
class Table:
    """An object of any names.

    Attributes:
        value: what each may be.
    """

    value: Kind

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """See :class:`Kind`."""
        if not isinstance(value, Mapping):
            yield _unlike(where, "an object", value)
            return
        for name, entry in value.items():
            yield from self.value.problems(entry, _below(where, name))


@dataclass(frozen=True)
class Entries:
    """An object of known names.

    Attributes:
        needed: names that it must have, and what each may be.
        others: names that it may have; what it has beside them is not looked at.
    """

    needed: Mapping[str, Kind]
    others: Mapping[str, Kind] = field(default_factory=dict)

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """See :class:`Kind`."""
        if not isinstance(value, Mapping):
            yield _unlike(where, "an object", value)
            return
        for name, kind in {**self.needed, **self.others}.items():
            if name in value:
                yield from kind.problems(value[name], _below(where, name))
            elif name in self.needed:
                yield f"{_below(where, name)}: is missing"


@dataclass(frozen=True)
class Either:
    """A value of one of several kinds; of what is none of them, the last one says what is wrong.

    Attributes:
        kinds: in turn.
    """

    kinds: tuple[Kind, ...]

    def problems(self, value: Any, where: str) -> Iterator[str]:
        """See :class:`Kind`."""
        if not any(fits(kind, value) for kind in self.kinds):
            yield from self.kinds[-1].problems(value, where)


def _below(where: str, name: object) -> str:
    text = str(name)[:_SHOWN]
    return f"{where}.{text}" if where else text


def _unlike(where: str, expected: str, value: Any) -> str:
    return f"{where}: expected {expected}, got {shown(value)}" if where else f"expected {expected}, got {shown(value)}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < 10**DIGITS if isinstance(value, int) else math.isfinite(value)


def number(expected: str, low: float, high: float = math.inf, *, whole: bool = False) -> Plain:
    """A number within limits, both included.

    Args:
        expected: in words.
        low, high: the limits.
        whole: it has no fraction.
    """
    kinds = int if whole else (int, float)
    return Plain(expected, lambda value: _is_number(value) and isinstance(value, kinds) and low <= value <= high)


def whole_problem(value: Any, low: int, high: int) -> str:
    """What is wrong with a value that should be a whole number from ``low`` to ``high``; empty where nothing is.

    Example:
        >>> whole_problem(7, 2, 5), whole_problem(5, 2, 5)
        ('expected a whole number from 2 to 5, got 7', '')
    """
    whole = number(f"a whole number from {low} to {high}", low, high, whole=True)
    return first_problem(whole, value)


def optional(kind: Kind) -> Either:
    """Null, or a value of this kind."""
    return Either((NULL, kind))


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or "\0" in value or len(value) >= _PATH:
        return False
    return all(len(part.encode("utf-8", "surrogateescape")) <= _NAME for part in value.split("/"))


ANYTHING = Plain("anything", lambda value: True)
NULL = Plain("null", lambda value: value is None)
TEXT = Plain("text", lambda value: isinstance(value, str))
FLAG = Plain("true or false", lambda value: isinstance(value, bool))
NUMBER = Plain("a number", _is_number)
FIGURE = Plain("a number", lambda value: _is_number(value) or isinstance(value, float))  # NaN and infinity too
WHOLE = Plain("a whole number", lambda value: _is_number(value) and isinstance(value, int))
PATH = Plain(f"a path, whose names have at most {_NAME} bytes", _is_path)
OBJECT = Table(ANYTHING)
LIST = ListOf(ANYTHING)
NAMES = ListOf(Plain("a name", lambda value: isinstance(value, str) or (_is_number(value) and isinstance(value, int))))
