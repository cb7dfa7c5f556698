"""All formats of checkpoints from elsewhere, one file each, and finding the one that a file has."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.weights.formats.base import Format

__all__ = ["FORMATS", "Format", "flags", "recognize", "translate"]


def by_title(declared: Iterable[tuple[str, Format]]) -> tuple[Format, ...]:
    """The formats, of which no two have one title.

    Args:
        declared: each format with the file that declares it.

    Raises:
        InputError: two files declare formats of one title; both are named.
    """
    known: dict[str, tuple[str, Format]] = {}
    for file, declaration in declared:
        if declaration.title in known:
            other = known[declaration.title][0]
            raise InputError(f"format {declaration.title}: declared by {other} and by {file}; expected two titles")
        known[declaration.title] = file, declaration
    return tuple(declaration for _, declaration in known.values())


def _declared() -> Iterable[tuple[str, Format]]:
    """The formats of all files here that end with a ``FORMAT``."""
    for module in pkgutil.iter_modules(__path__):
        declaration = getattr(importlib.import_module(f"{__name__}.{module.name}"), "FORMAT", None)
        if declaration is not None:
            yield f"formats/{module.name}.py", declaration


FORMATS = by_title(_declared())


def recognize(content: Mapping[str, Any]) -> Format | None:
    """The format of a file's content; None where it is none of :data:`FORMATS`.

    Raises:
        InputError: it looks like two of them; both are named.
    """
    fitting = [known for known in FORMATS if known.recognizes(content)]
    if len(fitting) > 1:
        raise InputError(f"the file looks like {' and like '.join(known.title for known in fitting)}; expected one")
    return fitting[0] if fitting else None


def translate(
    content: Mapping[str, Any], definition: Mapping[str, Any], source: str, options: Iterable[str] = ()
) -> tuple[dict[str, Tensor], str]:
    """The state dict of a network from a foreign checkpoint.

    Args:
        content: of the file.
        definition: of the network that it is for.
        source: where it comes from, for messages.
        options: names of those that the user can turn, for messages.

    Returns:
        the state dict, and what the user should hear (empty for nothing).

    Raises:
        InputError: the content is of no known format, or of one for another network, or does not fit.
    """
    fitting = recognize(content)
    suited = [known for known in FORMATS if known.network == definition["name"]]
    if fitting is not None and fitting in suited:
        arguments = definition["arguments"]
        state_dict = fitting.translate(content, arguments, source)
        alike = any(
            all(arguments.get(name) == value for name, value in variant.items()) for variant in fitting.variants
        )
        return state_dict, "" if alike else f"{fitting.title}: trained with {flags(fitting)}"
    if fitting is None and suited:
        return suited[0].translate(content, definition["arguments"], source), ""  # says what is wrong with it
    hint = f"; it is of {fitting.title}, for the network {fitting.network}" if fitting else ""
    if fitting and {name for variant in fitting.variants for name in variant} <= set(options):
        hint = f"; {flags(fitting)} takes it ({fitting.title})"
    raise InputError(f"{source}: a foreign one; expected model.pt of a run{hint}")


def flags(known: Format) -> str:
    """The options of a format's networks, as one types them."""
    return " or ".join(" ".join(f"--{name} {value}" for name, value in variant.items()) for variant in known.variants)
