"""What MONAI keeps with a volume, so that a prediction finds its way back to the file's grid: as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import TraceKeys
from torch import Tensor


def geometry_of(image: MetaTensor) -> dict[str, Any]:
    """The metadata of a tensor, and what was done to it."""
    return {"meta": _plain(dict(image.meta)), "operations": _plain(list(image.applied_operations))}


def with_geometry(values: Tensor, geometry: Mapping[str, Any], path: str) -> MetaTensor:
    """A tensor with the metadata of :func:`geometry_of`.

    Args:
        values: of the tensor.
        geometry: its metadata.
        path: of the file that it was read from.
    """
    operations = _back(geometry["operations"])
    for operation in operations:
        operation[TraceKeys.ID] = TraceKeys.NONE  # MONAI undoes such without asking which object has done it
    meta = _back(geometry["meta"]) | {"filename_or_obj": path}
    return MetaTensor(values, meta=meta, applied_operations=operations)


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "type": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "type": value.dtype.str}
    if isinstance(value, Mapping):
        return {"entries": {_plain(key): _plain(entry) for key, entry in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [_plain(entry) for entry in value]}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    return value.item() if isinstance(value, np.generic) else value


def _back(value: Any) -> Any:
    if isinstance(value, list):
        return [_back(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if "entries" in value:
        return {key: _back(entry) for key, entry in value["entries"].items()}
    if "tuple" in value:
        return tuple(_back(entry) for entry in value["tuple"])
    if "array" in value:
        return np.array(value["array"], dtype=value["type"])
    return torch.tensor(value["tensor"], dtype=getattr(torch, value["type"]))
