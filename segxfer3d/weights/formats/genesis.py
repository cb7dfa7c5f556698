"""Published Models Genesis checkpoints (``Genesis_Chest_CT.pt``): their names for the tensors of ``genesis_unet``.

Only the names and shapes of the published file are known here. Its network normalizes with batch statistics in
evaluation too: use ``batch_statistics=True`` to get its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from segxfer3d.errors import InputError, some
from segxfer3d.networks import genesis_unet
from segxfer3d.weights.checkpoint import read_file
from segxfer3d.weights.formats.base import Format, is_state_dict, misfits

PREFIX = "module."
# published module -> ours; the published down stages are the encoder, the up stages the decoder, out_tr the head
_DOWN = {f"down_tr{channels}": f"encoder.stages.{i}" for i, channels in enumerate((64, 128, 256, 512))}
_UP = {f"up_tr{channels}": i for i, channels in enumerate((256, 128, 64))}
# published layer of the first and second convolution -> index in our ConvBlock
_LAYERS = {"ops.0.conv1": "0", "ops.0.bn1": "1", "ops.1.conv1": "3", "ops.1.bn1": "4"}


def module_map() -> dict[str, str]:
    """Published module name to the name in ``genesis_unet``."""
    blocks = {**_DOWN, **{name: f"decoder.stages.{i}" for name, i in _UP.items()}}
    names = {
        f"{theirs}.{layer}": f"{ours}.{index}" for theirs, ours in blocks.items() for layer, index in _LAYERS.items()
    }
    names |= {f"{name}.up_conv": f"decoder.up.{i}" for name, i in _UP.items()}
    names["out_tr.final_conv"] = "head"
    return names


def translate(state_dict: dict[str, Tensor], source: str = "checkpoint") -> dict[str, Tensor]:
    """Published keys (with or without ``module.``) to those of ``genesis_unet(batch_statistics=True)``.

    Raises:
        InputError: a missing, extra or misshapen key, each named (up to five).
    """
    names = module_map()
    translated: dict[str, Tensor] = {}
    extra: list[str] = []
    for key, tensor in state_dict.items():
        module, _, leaf = str(key).removeprefix(PREFIX).rpartition(".")
        ours = f"{names[module]}.{leaf}" if module in names else ""
        if ours and ours not in translated:  # the same key with and without the prefix would be ambiguous
            translated[ours] = tensor
        else:
            extra.append(str(key))
    theirs = {ours: name for name, ours in names.items()}
    with torch.device("meta"):  # names and shapes are all that is asked of it
        expected = genesis_unet(batch_statistics=True).state_dict()
    problems = [f"extra key {key}" for key in extra]
    problems += misfits(translated, expected, lambda key: _published(key, theirs))
    if problems:
        raise InputError(f"{source}: no Models Genesis 3D checkpoint: {some(problems, 5)}")
    return {key: translated[key] for key in expected}


def _published(key: str, theirs: dict[str, str]) -> str:
    module, _, leaf = key.rpartition(".")
    return f"{theirs[module]}.{leaf}"


def read(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The state dict of ``genesis_unet(batch_statistics=True)`` from a published checkpoint.

    Args:
        path: a dict with ``state_dict``, saved by torch; read without executing code from it.

    Raises:
        InputError: not such a file, or its keys or shapes are not the network's.
    """
    return _from_content(read_file(path), {}, f"checkpoint {path}")


def _from_content(content: Mapping[str, Any], _arguments: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    state_dict = content.get("state_dict")
    if not isinstance(state_dict, dict) or not is_state_dict(state_dict):
        raise InputError(f"{source}: expected a dictionary of tensors under 'state_dict'")
    return translate(state_dict, source)


def _is_genesis(content: Mapping[str, Any]) -> bool:
    state_dict = content.get("state_dict")
    return isinstance(state_dict, dict) and any(f"{PREFIX}{name}.ops.0.conv1.weight" in state_dict for name in _DOWN)


FORMAT = Format(
    title="published Models Genesis checkpoint of the 3D U-Net",
    network="genesis_unet",
    variants=({"width": 32, "batch_statistics": True},),
    recognizes=_is_genesis,
    translate=_from_content,
    preprocessing={
        "spacing": None, "intensity": "window", "window_low": -1000.0, "window_high": 1000.0, "orientation": "RAS",
    },
    patch_size=(64, 64, 32),
)  # fmt: skip
