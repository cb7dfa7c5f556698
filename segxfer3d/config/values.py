"""Values of options: from what a shell or a file gives to their types, within their limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from segxfer3d.schema.kinds import PATH, fits

_LISTED = re.compile(r"\b(\w+) \| tuple\[\1, \.\.\.\]")
LARGEST = 2**53  # whole numbers beyond it are no longer exact in JSON readers


def is_expression(value: object) -> bool:
    """Whether a value is what MONAI computes, looks up, or reads from another file.

    Example:
        >>> is_expression("$@width * 2"), is_expression("@width"), is_expression("a@b"), is_expression(3)
        (True, True, False, False)
    """
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


@dataclass(frozen=True)
class Limits:
    """What a value may be; see :func:`segxfer3d.config.options.option`."""

    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    multiple: int = 1
    path: str = ""
    pattern: bool = False
    empty: bool = True
    text: str = ""
    form: str = ""

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Limits:
        """The other way round from JSON.

        Raises:
            TypeError: an entry that no limit has.
        """
        known = {field.name for field in fields(Limits)}
        if strange := set(values) - known:
            raise TypeError(f"no limit is called {sorted(strange)[0]}")
        return Limits(**{**values, "choices": tuple(values.get("choices", ()))})


def split_type(type_: str) -> tuple[str, int, bool]:
    """An annotation as text, taken apart: the type of one value, how many of it (0: no tuple, or of any length), and
    whether None is one.

    Example:
        >>> split_type("int | None"), split_type("tuple[float, float, float] | None")
        (('int', 0, True), ('float', 3, True))
    """
    optional = type_.endswith(" | None")
    type_ = type_.removesuffix(" | None")
    type_ = _LISTED.sub(r"\1", type_)
    if inner := re.fullmatch(r"tuple\[(.+)\]", type_):
        parts = [part.strip() for part in inner[1].split(",")]
        return parts[0], len(parts), optional
    return type_, 0, optional


def may_be_list(type_: str) -> bool:
    """Whether a value may be several of its type too, of any number.

    Example:
        >>> may_be_list("float | tuple[float, ...]"), may_be_list("tuple[float, float]")
        (True, False)
    """
    return _LISTED.search(type_) is not None


def convert(type_: str, limits: Limits, value: Any) -> Any:
    """``value`` in the type that is spelled by ``type_``, within the limits; a list of one is that one.

    Raises:
        ValueError, TypeError: it does not fit.
    """
    single, count, optional = split_type(type_)
    if optional and value is None:
        return None
    if may_be_list(type_):
        if isinstance(value, str) and "," in value:
            value = [part.strip() for part in value.strip("[]()").split(",")]
        if isinstance(value, (list, tuple)):
            items = tuple(_single(single, limits, item) for item in value)
            if not items:
                raise ValueError
            return items if len(items) > 1 else items[0]
    if count:
        if isinstance(value, (str, Mapping)) or len(value) != count:
            raise ValueError
        return tuple(_single(single, limits, item) for item in value)
    return _single(single, limits, value)


def _single(type_: str, limits: Limits, value: Any) -> Any:
    if type_ == "bool":
        if not isinstance(value, bool):
            raise ValueError
        return value
    if type_ == "str":
        return _text(limits, value)
    return _number(type_, limits, value)


def _number(type_: str, limits: Limits, value: Any) -> float | int:
    if isinstance(value, (bool, str)):
        raise ValueError
    number: float | int = float(value)
    if not math.isfinite(number):
        raise ValueError
    if type_ == "int":
        number = int(value)
        if number != value or abs(number) > LARGEST or number % limits.multiple:
            raise ValueError
    if (
        (limits.least is not None and number < limits.least)
        or (limits.most is not None and number > limits.most)
        or (limits.above is not None and number <= limits.above)
        or (limits.below is not None and number >= limits.below)
    ):
        raise ValueError
    return number


def _text(limits: Limits, value: Any) -> str:
    if value is None or isinstance(value, (bool, list, tuple, dict)):
        raise ValueError
    text = str(value)  # a folder named 2024 may arrive as a number
    if "\0" in text or not (text or limits.empty):
        raise ValueError
    if (limits.choices and text not in limits.choices) or (limits.path and not fits(PATH, text)):
        raise ValueError
    if limits.form and text and not re.fullmatch(limits.form, text):
        raise ValueError
    if limits.pattern:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError from error
    # a shell leaves the ~ of --name=~/x alone
    return str(Path(text).expanduser()) if limits.path and text.startswith("~") else text


_PLACES = {"file": "a file", "folder": "a folder", "place": "a file or a folder"}
_COUNTS = {2: "two", 3: "three"}


def expected(type_: str, limits: Limits) -> str:
    """What a value should be, in words.

    Example:
        >>> expected("int", Limits(least=1, most=100)), expected("float | None", Limits(above=0, most=1))
        ('a whole number from 1 to 100', 'a number above 0 and at most 1, or none')
    """
    single, count, optional = split_type(type_)
    words = limits.text or _words(single, limits, count)
    words += ", or a list of such, one for each channel" if may_be_list(type_) else ""
    return words + (", or none" if optional else "")


def _words(single: str, limits: Limits, count: int) -> str:
    if single == "bool":
        return "True or False"
    if single == "str":
        if limits.choices:
            return f"one of {', '.join(filter(None, limits.choices))}{', or nothing' if '' in limits.choices else ''}"
        if limits.pattern:
            return "a regular expression"
        place = _PLACES.get(limits.path, "a text")
        return f"{place}, or nothing" if limits.empty and limits.path else place
    noun = {"int": "whole number", "float": "number"}[single]
    if limits.multiple > 1:
        noun = f"multiple of {limits.multiple}"
    plural = noun.replace("multiple", "multiples") if limits.multiple > 1 else f"{noun}s"
    start = f"{_COUNTS[count]} {plural}" if count else f"a {noun}"
    return start + _range(limits)


def _range(limits: Limits) -> str:
    least, most, above, below = (
        None if value is None else f"{value:.10g}" for value in (limits.least, limits.most, limits.above, limits.below)
    )
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None and below is not None:
        return f" from {least} to below {below}"
    words = {"above": above, "of at least": least, "below": below, "at most": most}
    parts = [f"{word} {value}" for word, value in words.items() if value is not None]
    return " " + " and ".join(parts) if parts else ""
