"""All formats of checkpoints from elsewhere, and finding the one that a file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.weights.formats import genesis, imagenet
from segxfer3d.weights.formats.base import Format

# the first that recognizes a file reads it
FORMATS: tuple[Format, ...] = (genesis.FORMAT, imagenet.FORMAT)


def recognize(content: Mapping[str, Any]) -> Format | None:
    """The format of a file's content; None where it is none of :data:`FORMATS`."""
    return next((known for known in FORMATS if known.recognizes(content)), None)


def translate(
    content: Mapping[str, Any], definition: Mapping[str, Any], source: str, knobs: Iterable[str] = ()
) -> tuple[dict[str, Tensor], str]:
    """The state dict of a network from a foreign checkpoint.

    Args:
        content: of the file.
        definition: of the network that it is for.
        source: where it comes from, for messages.
        knobs: that the user can turn, for messages.

    Returns:
        the state dict, and what the user should hear (empty for nothing).

    Raises:
        InputError: the content is of no known format, or of one for another network, or does not fit.
    """
    found = recognize(content)
    suited = [known for known in FORMATS if known.network == definition["name"]]
    if found is not None and found in suited:
        arguments = definition["arguments"]
        state_dict = found.translate(content, arguments, source)
        alike = any(all(arguments.get(name) == value for name, value in one.items()) for one in found.variants)
        return state_dict, "" if alike else f"{found.title}: trained with {flags(found)}"
    if found is None and suited:
        return suited[0].translate(content, definition["arguments"], source), ""  # says what is wrong with it
    hint = f"; it is of {found.title}, for the network {found.network}" if found else ""
    if found and {name for one in found.variants for name in one} <= set(knobs):
        hint = f"; {flags(found)} takes it ({found.title})"
    raise InputError(f"{source}: a foreign one; expected model.pt of a run{hint}")


def flags(known: Format) -> str:
    """The knobs of a format's networks, as one types them."""
    return " or ".join(" ".join(f"--{name} {value}" for name, value in one.items()) for one in known.variants)
