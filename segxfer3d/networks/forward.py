"""How a batch passes through a network: plain tensors, the memory layout, the precision, the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor, nn


def plain(tensor: Tensor, channels_last: bool) -> Tensor:
    """A plain tensor (no metadata, which slows every operation down) in the wanted memory layout."""
    if isinstance(tensor, MetaTensor):
        tensor = tensor.as_tensor()
    if channels_last and tensor.ndim in (4, 5):
        layout = torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
        tensor = tensor.contiguous(memory_format=layout)
    return tensor


def layout_of(network: nn.Module) -> torch.memory_format:
    """The channels-last layout of a network's dimensions."""
    volumes = any(parameter.ndim == 5 for parameter in network.parameters())
    return torch.channels_last_3d if volumes else torch.channels_last


def unwrap(network: nn.Module) -> nn.Module:
    """The module inside DistributedDataParallel and torch.compile."""
    inner: nn.Module = getattr(network, "module", network)
    inner = getattr(inner, "_orig_mod", inner)
    return inner


def to_device(batch: Mapping[str, Any], device: torch.device) -> dict[str, Tensor]:
    """The tensors of a batch, on ``device``."""
    return {k: v.to(device, non_blocking=True) for k, v in batch.items() if isinstance(v, Tensor)}


class NetworkForward(Inferer):
    """Forward pass of a whole batch, under bf16 autocast where ``amp``; gives float32 so that losses are exact.

    Args:
        amp: compute in bf16 where autocast does.
        channels_last: bring images to the channels-last layout of their dimensions first.
    """

    def __init__(self, amp: bool = True, channels_last: bool = True) -> None:
        super().__init__()
        self.amp = amp
        self.channels_last = channels_last

    def __call__(self, inputs: Any, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What ``network`` makes of ``inputs``: (N, C, *spatial), or a batch (a mapping of names to such).

        A list of logits (deep supervision) stays one.
        """
        if isinstance(inputs, Mapping):
            device = next(iter(inputs.values())).device
            inputs = {key: plain(value, self.channels_last) for key, value in inputs.items()}
        else:
            device = inputs.device
            inputs = plain(inputs, self.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.amp):
            output = network(inputs, *args, **kwargs)
        if isinstance(output, list):
            return [level.float() for level in output]
        return output.float() if isinstance(output, Tensor) else output


def set_amp(inferer: Inferer, amp: bool) -> bool:
    """Have an inferer compute in bf16 or not from here on; whether it is one that can.

    Args:
        inferer: a :class:`NetworkForward`, or one that has one as ``forward``.
        amp: compute in bf16 where autocast does.
    """
    forward = getattr(inferer, "forward", inferer)
    if not isinstance(forward, NetworkForward):
        return False
    forward.amp = amp
    return True
