"""Values of knobs that refer to others, ``"@width"``: MONAI looks them up in the bundle when a training starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from segxfer3d.schema.kinds import shown
from segxfer3d.study import trust
from segxfer3d.study.definition import Bundle
from segxfer3d.study.documents import nearest

_REFERENCE = re.compile(r"@(?:::|#)*(\w+)(?:(?:::|#)\w+)*")  # as a whole; in other text MONAI sees none


def target(value: Any) -> str:
    """The entry of a bundle that a value refers to; empty where it is no reference.

    Example:
        >>> target("@width"), target("@train::trainer"), target("a@b"), target(3)
        ('width', 'train', '', '')
    """
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else ""


def problem(name: str, value: Any, bundles: Sequence[Bundle]) -> str:
    """Why a knob cannot refer to what its value names; empty where it can, or is no reference.

    It may name another knob of every bundle, and any entry where files are trusted.
    """
    if not (meant := target(value)):
        return ""
    if meant == name:
        return f"{shown(value)} refers to itself"
    for bundle in bundles:
        known = list(bundle.config) if trust.is_given() else sorted(bundle.knobs)
        if meant not in known:
            return f"{shown(value)} refers to no knob of {bundle.name}{nearest(meant, known)}"
    return ""


def circle(name: str, knobs: Mapping[str, Any]) -> str:
    """Why references of knobs that are set together have no end, beginning with one; empty where they have.

    Example:
        >>> circle("lr", {"lr": "@width", "width": "@lr"}), circle("lr", {"lr": "@width", "width": 8})
        ('@width refers to it in turn', '')
    """
    seen, at = {name}, target(knobs[name])
    while at:
        if at in seen:
            return f"{knobs[name]} refers to it in turn"
        seen.add(at)
        at = target(knobs.get(at))
    return ""
