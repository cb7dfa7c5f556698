"""What ``model.pt`` holds, entry by entry; see :mod:`segxfer3d.weights.checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segxfer3d.data.preprocessing.kinds import IMAGES, SIDE, VOLUMES
from segxfer3d.schema.kinds import (
    LIST,
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


def _is_weight(value: Any) -> bool:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    return value.device.type != "meta" and not value.is_complex()


def _is_class(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and str(value)[:12].isdecimal()


_WEIGHTS = Table(Plain("a tensor of numbers", _is_weight))
_VOLUMES = Entries({}, {**VOLUMES.needed, **VOLUMES.others})  # what is missing, whoever reads them says
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
_TRAINING: dict[str, Kind] = {
    "job": TEXT, "init": TEXT, "pretext": TEXT, "data": TEXT, "patients": LIST, "contents": LIST,
    "trained_parts": ListOf(TEXT),
}  # fmt: skip
_TRAINING["extra"] = Entries({}, {**_TRAINING})
_PROVENANCE = Entries({}, {**_TRAINING, "patch_size": ListOf(SIDE), "started_from": ListOf(Entries({}, _TRAINING))})
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
    kind = Entries({**_ENTRIES, "preprocessing": IMAGES if images else _VOLUMES}, {"inference": OBJECT})
    if problem := first_problem(kind, content):
        return problem
    strange = [value for value in content["classes"] if not _is_class(value)]
    return f"classes: the value {str(strange[0])[:30]!r}; expected whole numbers of at least 0" if strange else ""
