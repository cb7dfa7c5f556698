"""Optimizers, learning-rate courses and gradient clipping by name, as the bundles' knobs spell them."""

from __future__ import annotations

from typing import Any

import torch
from monai.optimizers import WarmupCosineSchedule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR


def make_optimizer(
    network: nn.Module, name: str, lr: float, weight_decay: float = 0.0, clip_norm: float = 0.0
) -> Optimizer:
    """``adam``, ``adamw``, ``sgd`` or ``lars``, weight decay on weights only, gradients clipped before a step.

    ``sgd`` and ``lars`` have momentum 0.9. ``lars`` (You et al. 2017; pytorch-optimizer's) scales the step of each
    weight tensor by 0.001 times the ratio of its norm to its gradient's; biases and batch norms take plain steps. Its
    learning rate is another one than the others': see :func:`lars_rate`.

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
        from pytorch_optimizer import LARS  # takes seconds to import

        optimizer = LARS(groups, lr=lr, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)
    if clip_norm > 0:
        optimizer.register_step_pre_hook(lambda *_: _clip(parameters, clip_norm))
    return optimizer


def lars_rate(batch_size: int) -> float:
    """SimCLR's learning rate for LARS, as ConRec pretrains: 0.075 x sqrt(batch size).

    Args:
        batch_size: samples (not views) of a step, in all processes together.

    Chen et al. 2020, appendix B.1, for small batches and long training; 0.3 for the 16 images of ConRec.
    """
    return float(0.075 * batch_size**0.5)


def _clip(parameters: list[nn.Parameter], norm: float) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)


def make_schedule(
    optimizer: Optimizer,
    name: str,
    total_steps: int,
    steps_per_epoch: int = 1,
    warmup_fraction: float = 0.1,
    patience: int = 50,
) -> LRScheduler | ReduceLROnPlateau:
    """The course of the learning rate.

    Args:
        optimizer: whose rate follows the course.
        name: ``constant``; ``warmup-cosine`` and ``warmup-polynomial`` (power 0.9), which rise linearly and fall to
            zero at the last step; ``halving`` (Models Genesis pretraining: halved every 0.8 x patience epochs);
            ``plateau`` (Models Genesis fine-tuning: halved after 6 validations without a better dice).
        total_steps: steps of the whole run.
        steps_per_epoch: steps of an epoch, for ``halving``.
        warmup_fraction: share of the steps in which the rate rises.
        patience: epochs, for ``halving``; 0 stands for the reference's 50.
    """
    warmup = round(warmup_fraction * total_steps)
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0, total_iters=0)
    if name == "warmup-cosine":
        return WarmupCosineSchedule(optimizer, warmup_steps=warmup, t_total=total_steps)
    if name == "warmup-polynomial":
        return LambdaLR(optimizer, _WarmupPolynomial(warmup, total_steps))
    if name == "halving":
        return StepLR(optimizer, step_size=max(1, round(0.8 * (patience or 50))) * steps_per_epoch, gamma=0.5)
    return ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=6)


class _WarmupPolynomial:
    """The factor of the rate at a step: up linearly, then down as a power of what is left."""

    def __init__(self, warmup: int, total: int, power: float = 0.9) -> None:
        self.warmup, self.total, self.power = warmup, total, power

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return step / self.warmup
        left = (self.total - step) / max(1, self.total - self.warmup)
        return float(max(0.0, left) ** self.power)
