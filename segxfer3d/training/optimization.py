"""Optimizers and gradient clipping by name, as the option ``optimizer_name`` spells them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from segxfer3d.errors import InputError
from segxfer3d.run import processes
from segxfer3d.training.lars import LARS


def make_optimizer(
    network: nn.Module, name: str, lr: float, weight_decay: float = 0.0, clip_norm: float = 0.0
) -> Optimizer:
    """``adam``, ``adamw``, ``sgd``, ``nesterov`` or ``lars``, weight decay on weights only, gradients clipped before a
    step.

    ``sgd`` and ``lars`` have momentum 0.9; ``nesterov`` is SGD with Nesterov momentum 0.99, as nnU-Net trains (Isensee
    et al., Nature Methods 18, 2021; with the rate 0.01 and the schedule ``polynomial``): for long runs. ``lars``
    (:class:`~segxfer3d.training.lars.LARS`) scales the step of each weight tensor by 0.001 times the ratio of its norm
    to its update's; biases and batch norms take plain steps. Its learning rate is another one than the others': see
    :func:`lars_rate`.

    Every parameter is given to the optimizer, frozen ones too: a parameter without a gradient is passed over, and
    one that is thawed later is there.
    """
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer: Optimizer
    if name == "adam":
        optimizer = torch.optim.Adam(groups, lr=lr)
    elif name == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=lr)
    elif name == "lars":
        optimizer = LARS(groups, lr=lr)
    elif name == "nesterov":
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.99, nesterov=True)
    else:
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)
    if clip_norm > 0:
        optimizer.register_step_pre_hook(lambda *_: _clip(parameters, clip_norm))
    return optimizer


def lars_rate(batch_size: int | None) -> float:
    """SimCLR's learning rate for LARS, as ConRec pretrains: 0.075 x sqrt(samples of a step, in all processes together).

    Args:
        batch_size: samples (not views) of a step in each process.

    Raises:
        InputError: no batch size.

    Chen et al. 2020, appendix B.1, for small batches and long training; 0.3 for the 16 images of ConRec.
    """
    if batch_size is None:
        raise InputError("batch_size: expected a number; only fine-tuning finds one where it is none")
    if batch_size < 1:  # the rule is applied before the options are checked
        raise InputError(f"batch_size: expected a whole number of at least 1, got {batch_size}")
    return float(0.075 * (batch_size * processes.count()) ** 0.5)


def _clip(parameters: list[nn.Parameter], norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)
