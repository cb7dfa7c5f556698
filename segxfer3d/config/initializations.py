"""The names of the initializations: which parts each one loads, and which it freezes; needs no torch."""

from __future__ import annotations

from segxfer3d.errors import InputError

# name of the initialization -> the paper's scenario, parts that are loaded, parts that stay frozen
_CHOICES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "random": ("1", (), ()),
    "encoder": ("2 or 4", ("encoder",), ()),
    "encoder+decoder": ("3", ("encoder", "decoder"), ()),
    "whole": ("", ("encoder", "decoder", "head"), ()),
    "frozen-encoder": ("", ("encoder",), ("encoder",)),
    "frozen-random": ("", (), ("encoder",)),
}
INITIALIZATIONS = tuple(_CHOICES)
SCENARIOS = {init: scenario for init, (scenario, _, _) in _CHOICES.items()}


def order_of(init: str) -> int:
    """Where an arm of this initialization stands in tables: the reference first, unknown ones last."""
    return INITIALIZATIONS.index(init) if init in INITIALIZATIONS else len(INITIALIZATIONS)


def needs_checkpoint(init: str) -> bool:
    """Whether ``init`` loads anything.

    Raises:
        InputError: an unknown initialization.
    """
    return bool(loaded_parts(init))


def loaded_parts(init: str) -> tuple[str, ...]:
    """The parts that ``init`` loads.

    Raises:
        InputError: an unknown initialization.
    """
    return _choice(init)[1]


def frozen_parts(init: str) -> tuple[str, ...]:
    """The parts that ``init`` freezes.

    Raises:
        InputError: an unknown initialization.
    """
    return _choice(init)[2]


def _choice(init: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    if init not in _CHOICES:
        raise InputError(f"init: expected one of {', '.join(INITIALIZATIONS)}, got {init!r}")
    return _CHOICES[init]
