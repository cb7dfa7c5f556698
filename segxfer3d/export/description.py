"""What somebody needs to use an exported network: preprocessing, windows, activation, classes, and where it is from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segxfer3d.inference.engines.graphs import IMAGE, LOGITS
from segxfer3d.inference.model import Model
from segxfer3d.version import __version__
from segxfer3d.weights.lineage import STARTED_FROM

OVERLAP = 0.25
# lists that stay in the house: names of patients, fingerprints of images
_PRIVATE = ("patients", "contents")
LICENSE_HINT = (
    "The license of the weights is for those to say who trained them; the terms of the data, and of a checkpoint that "
    "training started from, go on to them."
)


def describe(model: Model) -> dict[str, Any]:
    """Plain values for the metadata of what is exported; names of patients are counted, not listed.

    Args:
        model: that is exported.
    """
    network, inference = model.network, model.inference
    provenance = _counted(model.provenance)
    return {
        "made_with": f"segxfer3d {__version__}",
        "network": network.definition,
        "input": {
            "name": IMAGE,
            "channels": network.encoder.in_channels,
            "sides_divisible_by": list(network.encoder.divisors),
            "dtype": "float32",
        },
        "output": {"name": LOGITS, "dtype": "float32", "channels": _channels(model)},
        "classes": {str(value): name for value, name in model.classes.items()},
        "preprocessing": model.preprocessing.as_dict(),
        "patch_size": list(model.patch_size),
        **({"windows": {"overlap": OVERLAP, "weights": "gaussian"}} if model.dims == 3 else {}),
        "inference": inference.as_dict(),
        "mask": _rule(model),
        "provenance": provenance,
        "license": LICENSE_HINT,
    }


def _counted(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a model says of a training, with the numbers of what stays in the house."""
    counted: dict[str, Any] = {name: len(value) if name in _PRIVATE else value for name, value in provenance.items()}
    if "extra" in counted:
        counted["extra"] = _counted(counted["extra"])
    if STARTED_FROM in counted:
        counted[STARTED_FROM] = [_counted(start) for start in counted[STARTED_FROM]]
    return counted


def _channels(model: Model) -> list[str]:
    """What the logits are of."""
    background = ["background"] if model.inference.activation == "softmax" else []
    return [*background, *model.classes.values()]


def _rule(model: Model) -> str:
    """How logits become a mask, in words."""
    inference = model.inference
    text = f"{inference.activation} of the logits on the network's grid, brought to the file's grid; "
    if inference.activation == "softmax":
        return text + "a voxel gets the channel of its highest probability"
    if inference.regions:
        order = ", ".join(str(value) for value, _ in inference.regions)
        return text + f"each class is painted where it is at least 0.5, in this order: {order}"
    return text + "a voxel gets the class of its highest probability where that is at least 0.5, else 0"
