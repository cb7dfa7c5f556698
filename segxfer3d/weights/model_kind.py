"""What ``model.pt`` holds, entry by entry; see :mod:`segxfer3d.weights.checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segxfer3d.schema.kinds import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    Entries,
    Kind,
    ListOf,
    Plain,
    Table,
    first_problem,
    number,
    optional,
)  # fmt: skip

_SIDE = number("a whole number from 1 to 8192", 1, 8192, whole=True)
_CHANNELS = number("a whole number from 1 to 1024", 1, 1024, whole=True)
_SCALE: dict[str, Kind] = {"intensity": TEXT, "window_low": NUMBER, "window_high": NUMBER}
_MORE: dict[str, Kind] = {"mean": optional(NUMBER), "sd": optional(NUMBER), "nonzero": FLAG}


def _is_weight(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    return value.device.type != "meta" and not value.is_complex()


def _is_class(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and str(value)[:12].isdecimal()


_WEIGHTS = Table(Plain("a tensor of numbers", _is_weight))
_VOLUMES = Entries(
    {},
    {
        "spacing": optional(ListOf(number("a number above 0 and at most 1000", 1e-6, 1000), 3)),
        **_SCALE,
        **_MORE,
        "orientation": TEXT,
        "channels": _CHANNELS,
        "channel_names": ListOf(TEXT),
        "further": ListOf(Entries(_SCALE, _MORE)),
    },
)
_IMAGES = Entries({"image_size": _SIDE, "channels": number("1 or 3", 1, 3, whole=True)})
_WIDTH = number("a whole number from 1 to 65536", 1, 2**16, whole=True)
_ARGUMENTS = Entries(
    {},
    {
        **dict.fromkeys(("width", "in_channels", "out_channels"), _WIDTH),
        "spatial_dims": number("2 or 3", 2, 3, whole=True),
        "features": optional(ListOf(_WIDTH)),
        "backbone": TEXT,
    },
)
_PROVENANCE = Entries(
    {},
    {
        "patch_size": ListOf(_SIDE),
        "job": TEXT,
        "data": TEXT,
        "patients": LIST,
        "contents": LIST,
        "trained_parts": ListOf(TEXT),
    },
)
_ENTRIES: dict[str, Kind] = {
    "network": Entries({"arguments": _ARGUMENTS}, {"name": TEXT}),
    "state_dict": _WEIGHTS,
    "classes": Table(TEXT),
    "provenance": _PROVENANCE,
}


def problem_of(content: Mapping[str, Any]) -> str:
    """The first thing that is wrong with the content of a model file; empty where nothing is.

    Args:
        content: of the file, whose format is known.
    """
    values = content.get("preprocessing")
    images = isinstance(values, Mapping) and "image_size" in values
    kind = Entries({**_ENTRIES, "preprocessing": _IMAGES if images else _VOLUMES}, {"inference": OBJECT})
    if problem := first_problem(kind, content):
        return problem
    strange = [value for value in content["classes"] if not _is_class(value)]
    return f"classes: the value {str(strange[0])[:30]!r}; expected whole numbers of at least 0" if strange else ""
