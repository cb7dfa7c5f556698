"""The options that a study may set: what is known of them, and which of them a bundle has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from segxfer3d.config.options import OptionInfo, load_table

__all__ = ["OptionInfo", "convert", "most_seed", "options_of", "table"]


@cache
def table() -> Mapping[str, OptionInfo]:
    """Every option, by name; read from a file, so that nothing of what trains is imported.

    Raises:
        InputError: the file is missing or damaged.
    """
    return load_table()


def most_seed() -> int:
    """The largest seed of a training."""
    return int(table()["seed"].limits.most or 0)


def convert(name: str, value: Any) -> Any:
    """A value in the option's type, as JSON has it; a number that came as text is a number where one is meant.

    Raises:
        ValueError, TypeError: it is none that the option allows.
    """
    option = table()[name]
    try:
        converted = option.convert(value)
    except (ValueError, TypeError, OverflowError):
        if not isinstance(value, str):
            raise
        converted = option.convert(float(value))
    return list(converted) if isinstance(converted, tuple) else converted


def options_of(config: Mapping[str, Any]) -> frozenset[str]:
    """The options that a bundle has: what is known and stands at its top level.

    One that stands there for MONAI's sake follows another (``"@..."``), and is none; nor is a component.
    """
    return frozenset(
        name
        for name, value in config.items()
        if name in table() and not isinstance(value, dict) and not str(value).startswith("@")
    )
