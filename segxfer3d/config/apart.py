"""Options of which only one may be set, as both say the same; known in one place to runs, studies and searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.config.values import is_expression
from segxfer3d.errors import InputError

# the two, and what both of them say
APART = (
    ("minutes", "max_epochs", "both say how long to train"),
    ("lr", "range_test", "both say the learning rate"),
    ("label_fraction", "label_count", "both say how many labels are used"),
    ("test_fraction", "official_split", "both say what is tested"),
    ("test_fraction", "split_file", "both say what is tested"),
    ("test_fraction", "fold", "both say what is tested"),
    ("official_split", "pretrain_fraction", "both say what pretrains"),
    ("official_split", "split_file", "both say who is in which part"),
    ("official_split", "fold", "both say who is in which part"),
    ("pretrain_fraction", "split_file", 'a part "pretrain" of the file says it'),
)


def apart_problems(values: Mapping[str, Any]) -> list[str]:
    """What is set twice in different ways.

    Args:
        values: name of an option -> its value, of those that somebody set; expressions count as not set.

    Example:
        >>> apart_problems({"minutes": 2.0, "max_epochs": 5})
        ['minutes and max_epochs: expected one of them, got 2 and 5; both say how long to train']
        >>> apart_problems({"minutes": None, "max_epochs": 5})
        []
    """
    return [
        f"{one} and {other}: expected one of them, got {_shown(values[one])} and {_shown(values[other])}; {why}"
        for one, other, why in APART
        if _is_set(values.get(one)) and _is_set(values.get(other))
    ]


def refuse_apart(**values: Any) -> None:
    """Refuse what is set twice in different ways; arguments are options.

    Raises:
        InputError: it is, see :func:`apart_problems`.
    """
    if problems := apart_problems(values):
        raise InputError("; ".join(problems))


def _is_set(value: Any) -> bool:
    """Whether a value asks for anything: no share of the cases does not, the fold 0 does."""
    if value is None or isinstance(value, bool):
        return value is True
    if isinstance(value, str):
        return value != "" and not is_expression(value)
    return not (isinstance(value, float) and value == 0)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
