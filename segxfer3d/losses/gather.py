"""Tensors of all processes in one, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(processes())]
        distributed.all_gather(parts, tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient[distributed.get_rank() * ctx.rows :][: ctx.rows]


def gather(tensor: Tensor) -> Tensor:
    """The rows of all processes, those of process 0 first; ``tensor`` itself where there is one process.

    A gradient is the sum of all processes' gradients, so that a loss that every process computes on the gathered
    rows has, after DistributedDataParallel's mean over processes, the gradient of one process with all the rows.

    Args:
        tensor: (N, ...), of the same shape in every process.
    """
    if processes() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor.contiguous())  # type: ignore[no-untyped-call]
    return gathered
