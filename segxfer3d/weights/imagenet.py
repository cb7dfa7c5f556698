"""Published ImageNet weights of ResNet-18, -34 and -50, from a local file in torchvision's or timm's layout.

Only names and shapes are known here; both libraries name the tensors of these networks alike (``conv1.weight``,
``layer1.0.conv1.weight``, ..., ``fc.bias``). Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from segxfer3d.checkpoint import read_file
from segxfer3d.errors import InputError
from segxfer3d.networks import imagenet_unet
from segxfer3d.networks.imagenet import BACKBONES

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
    given = {key: t for key, t in state_dict.items() if not key.startswith(_CLASSIFIER)}
    counters = {key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(".num_batches_tracked")}
    given = {**counters, **given}
    problems = [f"extra key {key}" for key in given if key not in expected]
    problems += [f"missing key {key}" for key in expected if key not in given]
    problems += [
        f"{key} has shape {tuple(given[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in given and given[key].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"{source}: no ImageNet {backbone}: {'; '.join(problems[:5])}{more}")
    classifier = {key: t for key, t in state_dict.items() if key.startswith(_CLASSIFIER)}
    return {**{PREFIX + key: given[key] for key in expected}, **classifier}


def read(path: str | PathLike[str], backbone: str) -> dict[str, Tensor]:
    """The encoder's part of the state dict of ``imagenet_unet(backbone)`` from a published file.

    Args:
        path: a ``.safetensors`` file, or one that torch saved (``.pth``); read without executing code from it.
        backbone: ``resnet18``, ``resnet34`` or ``resnet50``.

    Raises:
        InputError: not such a file, or its keys or shapes are not the backbone's.
    """
    source = f"checkpoint {path}"
    content = read_safetensors(Path(path)) if Path(path).suffix == ".safetensors" else read_file(path)
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        raise InputError(f"{source}: expected a plain dictionary of tensors, as torchvision and timm publish")
    return translate(content, backbone, source)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` file.

    Raises:
        InputError: no such file, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file")
    try:
        content: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"checkpoint {path}: no safetensors file, or damaged ({error})") from error
    return content
