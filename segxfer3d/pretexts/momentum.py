"""Momentum copies: networks that follow another one as an exponential moving average and are never trained."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

Module = TypeVar("Module", bound=nn.Module)


def momentum_copy(module: Module) -> Module:
    """A copy of ``module`` for :func:`follow`.

    It has no gradients, and its batch norms keep their hands off their running statistics: in training they normalize
    with the batch's, as the methods' authors do, while the running ones follow the original's.
    """
    twin = copy.deepcopy(module).requires_grad_(False)
    for part in twin.modules():
        if isinstance(part, _BatchNorm):
            part.momentum = 0.0
    return twin


@torch.no_grad()
def follow(twin: nn.Module, module: nn.Module, momentum: float) -> None:
    """Move ``twin`` towards ``module``: ``twin = momentum * twin + (1 - momentum) * module``.

    Parameters and floating-point buffers alike; other buffers (counters) are copied.
    """
    theirs = module.state_dict(keep_vars=True)
    pairs = [(follower, theirs[name]) for name, follower in twin.state_dict(keep_vars=True).items()]
    moving = [(follower.detach(), leader.detach()) for follower, leader in pairs if follower.is_floating_point()]
    average = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call]
    average([follower for follower, _ in moving], [leader for _, leader in moving], 0)
    for follower, leader in pairs:
        if not follower.is_floating_point():
            follower.copy_(leader)


def cosine_momentum(start: float, step: int, total_steps: int) -> float:
    """BYOL's momentum at a step: from ``start`` up to 1 at the last (Grill et al. 2020, section 3.2)::

    1 - (1 - start) * (cos(pi * step / total_steps) + 1) / 2
    """
    share = min(1.0, step / total_steps)
    return 1 - (1 - start) * (math.cos(math.pi * share) + 1) / 2
