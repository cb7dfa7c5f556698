"""Networks and batches that no memory takes, refused before anything is allocated.

What is computed is the least that a device needs, so that nothing is refused that would do: weights, and what the
forward pass keeps for the backward pass, in half precision. Both come from networks without memory (PyTorch's device
"meta").
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segxfer3d import machine
from segxfer3d.errors import InputError
from segxfer3d.machine import GIB
from segxfer3d.networks.parts import SegmentationNetwork

_COMMON = 512  # channels of networks that are made without a look at their size
_COPIES = 3  # of the weights in training, at least: themselves, their gradients, one moment
_KEPT = 60  # values kept for the backward pass, a voxel and channel of the first layer, at most


def memory_of(device: torch.device) -> int:
    """Bytes of a device."""
    if device.type == "cuda":
        total: int = torch.cuda.get_device_properties(device).total_memory
        return total
    return machine.memory()


def require_bytes(what: str, size: int) -> None:
    """Refuse what the machine cannot hold.

    Args:
        what: needs it: an option and its value.
        size: bytes.

    Raises:
        InputError: it is more than the machine has.
    """
    if size > machine.memory():
        raise InputError(f"{what}: takes {size / GIB:.4g} GiB; this machine has {machine.memory() / GIB:.3g}")


def require_weights(make: Callable[..., nn.Module], arguments: Mapping[str, Any], name: str) -> None:
    """Refuse a network whose weights the machine cannot hold.

    Args:
        make: builds it.
        arguments: of that.
        name: of the network.

    Raises:
        InputError: it could not; or the arguments are of no network.
    """
    widest = max(_numbers(list(arguments.values())), default=0)
    if widest <= _COMMON:
        return
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        weights = sum(parameter.numel() for parameter in make(**arguments).parameters())
    require_bytes(f"width: {name} with {widest} channels has {weights / 1e9:.3g} billion weights", 4 * weights)


def require_step(network: nn.Module, shape: Sequence[int], device: torch.device, *, training: bool = True) -> None:
    """Refuse a batch that the device cannot train on, or see at all.

    Args:
        network: takes the batch.
        shape: of it, (N, C, *spatial).
        device: that computes.
        training: keep what the backward pass needs.

    Raises:
        InputError: it could not; the message says what would fit.
    """
    count, _, *size = shape
    first = next((module.out_channels for module in network.modules() if isinstance(module, _CONVOLUTIONS)), 1)
    room, values = memory_of(device), math.prod(size) * first
    if 4 * values * count * (_KEPT if training else 2) < room:
        return
    weights = sum(parameter.numel() for parameter in network.parameters()) * 4 * (_COPIES if training else 1)
    each = _kept(network, (1, *shape[1:])) if training else 2 * values
    if weights + each * count <= room:
        return
    fits = int((room - weights) // each)
    room_text = f"takes at least {(weights + each * count) / GIB:.4g} GiB; this {_place(device)} has {room / GIB:.3g}"
    share = (max(room - weights, 0) / each) ** (1 / len(size))
    divisors = network.encoder.divisors if isinstance(network, SegmentationNetwork) else [1] * len(size)
    sides = [max(by, int(side * share) // by * by) for side, by in zip(size, divisors, strict=True)]
    smaller, written = "x".join(map(str, sides)), f"{'x'.join(map(str, size))} {_UNITS[len(size)]}"
    if not training:
        raise InputError(f"window of {written}: a forward pass {room_text}: {smaller} may fit")
    advice = f"batch_size {fits} may fit" if fits > 0 else f"batch_size 1 with {smaller} may fit"
    raise InputError(f"batch_size {count} with {written}: a step of training {room_text}: {advice}")


def _kept(network: nn.Module, shape: Sequence[int]) -> int:
    """Bytes that a forward pass keeps for the backward pass, in half precision; weights aside."""
    hollow = copy.deepcopy(network).to("meta").train()
    kept: dict[int, Tensor] = {}
    own = {parameter.untyped_storage()._cdata for parameter in hollow.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor  # as long as it is here, no other has its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hollow(torch.empty(tuple(shape), device="meta"))
    return sum(2 * tensor.numel() for place, tensor in kept.items() if place not in own)


_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_UNITS = {2: "pixels", 3: "voxels"}


def _place(device: torch.device) -> str:
    return "machine" if device.type == "cpu" else device.type.upper()


def _numbers(values: Sequence[Any]) -> list[int]:
    """The whole numbers in arguments, in lists too."""
    found: list[int] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            found += _numbers(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            found.append(value)
    return found
