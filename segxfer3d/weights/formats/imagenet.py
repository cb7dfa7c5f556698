"""Published ImageNet weights of ResNet-18, -34 and -50, from a local file in torchvision's or timm's layout.

Only names and shapes are known here; both libraries name the tensors of these networks alike (``conv1.weight``,
``layer1.0.conv1.weight``, ..., ``fc.bias``). Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from segxfer3d.errors import InputError, some
from segxfer3d.networks import imagenet_unet
from segxfer3d.networks.imagenet_unet import BACKBONES
from segxfer3d.weights.formats.base import Format, is_state_dict, misfits, read_content

PREFIX = "encoder.resnet."
_CLASSIFIER = "fc."


def is_imagenet(keys: Iterable[str]) -> bool:
    """Whether ``keys`` look like those of a published ResNet."""
    return {"conv1.weight", "bn1.running_mean", "layer4.0.conv1.weight"} <= set(keys)


def translate(state_dict: dict[str, Tensor], backbone: str, source: str = "checkpoint") -> dict[str, Tensor]:
    """Published keys to those of the encoder of ``imagenet_unet(backbone)``.

    The classifier (``fc.*``) keeps its names, so that a transfer report lists it as unused. The counters of the batch
    norms (``num_batches_tracked``), which older files do not have, are 0 where they are missing; nothing depends on
    them.

    Raises:
        InputError: an unknown backbone, or a missing, extra or misshapen key, each named (up to five).
    """
    if backbone not in BACKBONES:
        raise InputError(f"backbone: expected one of {', '.join(BACKBONES)}, got {backbone!r}")
    with torch.device("meta"):  # names and shapes are all that is asked of it
        network = imagenet_unet(backbone)
    expected = {key.removeprefix(PREFIX): t for key, t in network.state_dict().items() if key.startswith(PREFIX)}
    tensors = {key: t for key, t in state_dict.items() if not key.startswith(_CLASSIFIER)}
    counters = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(".num_batches_tracked")}
    tensors = {**counters, **tensors}
    if problems := misfits(tensors, expected):
        raise InputError(f"{source}: no ImageNet {backbone}: {some(problems, 5)}")
    classifier = {key: t for key, t in state_dict.items() if key.startswith(_CLASSIFIER)}
    return {**{PREFIX + key: tensors[key] for key in expected}, **classifier}


def read(path: str | PathLike[str], backbone: str) -> dict[str, Tensor]:
    """The encoder's part of the state dict of ``imagenet_unet(backbone)`` from a published file.

    Args:
        path: a ``.safetensors`` file, or one that torch saved (``.pth``); read without executing code from it.
        backbone: ``resnet18``, ``resnet34`` or ``resnet50``.

    Raises:
        InputError: not such a file, or its keys or shapes are not the backbone's.
    """
    return _from_content(read_content(path), {"backbone": backbone}, f"checkpoint {path}")


def _from_content(content: Mapping[str, Any], arguments: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    if not is_state_dict(content):
        raise InputError(f"{source}: expected a plain dictionary of tensors, as torchvision and timm publish")
    return translate(dict(content), arguments["backbone"], source)


FORMAT = Format(
    title="published ImageNet weights",
    network="imagenet_unet",
    variants=tuple({"backbone": backbone} for backbone in BACKBONES),
    recognizes=is_imagenet,
    translate=_from_content,
)
