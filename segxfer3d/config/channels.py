"""Values of options that are one for all channels of volumes, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from segxfer3d.errors import InputError
from segxfer3d.spelling import one_form

Value = TypeVar("Value", str, float)


def each_channel(name: str, value: Value | Sequence[Value], channels: int) -> tuple[Value, ...]:
    """A value for each channel.

    Args:
        name: of the option, for the message.
        value: one for all, or a list of one for each.
        channels: their number.

    Raises:
        InputError: another number of values than of channels.

    Example:
        >>> each_channel("window_low", -1000.0, 2), each_channel("intensity", ("window", "zscore"), 2)
        ((-1000.0, -1000.0), ('window', 'zscore'))
    """
    if isinstance(value, (str, int, float)):
        return (value,) * channels
    if len(value) != channels:
        noun = "channel" if channels == 1 else "channels"
        raise InputError(f"{name}: {len(value)} values for {channels} {noun}; expected one, or one for each channel")
    return tuple(value)


def names_of(text: str) -> tuple[str, ...]:
    """The names in a text, separated by commas.

    Raises:
        InputError: an empty one, or one that is there twice.
    """
    names = tuple(name.strip() for name in one_form(text).split(",")) if text.strip() else ()
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"channel_names {text}: expected different names, separated by commas, such as T1,FLAIR")
    return names
