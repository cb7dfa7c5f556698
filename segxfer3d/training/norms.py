"""Batches that are too small for a network's norms, refused before anything is trained."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.networks.forward import unwrap


def check_norms(network: nn.Module, shape: Sequence[int], *, one_is_enough: bool = False) -> None:
    """Refuse a batch that leaves a norm nothing to take its statistics from.

    Args:
        network: any; it is left alone, and nothing is computed.
        shape: of a training batch (of one process), (N, C, *spatial).
        one_is_enough: let batch norm train on a batch of one where its statistics come from several voxels.

    Raises:
        InputError: a norm that would see a single value a channel; or a batch of one with batch norm, whose statistics
            of one patch are not those that evaluation uses.
    """
    count, _, *size = shape
    inner = unwrap(network)
    trained = [module for module in inner.modules() if _keeps_statistics(module)]
    if count == 1 and trained and not one_is_enough:
        raise InputError(
            "batch_size 1: batch norm would take its statistics from a single patch; expected --batch_size 2 or more, "
            "or a network with instance norm"
        )
    hollow = copy.deepcopy(inner).to("meta").train()
    try:
        with torch.no_grad():
            hollow(torch.empty(tuple(shape), device="meta"))
    except ValueError as error:
        if "Expected more than 1" not in str(error):
            raise
        raise InputError(
            f"batch_size {count}: a batch of patches of {'x'.join(map(str, size))} leaves a norm a single value a "
            "channel at the coarsest level; expected a larger --batch_size (batch norm only), or larger patches"
        ) from error


def _keeps_statistics(module: nn.Module) -> bool:
    """Whether it is a batch norm that trains, and evaluates with what it has seen in training."""
    return (
        isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.track_running_stats
        and not getattr(module, "batch_statistics", False)
        and any(parameter.requires_grad for parameter in module.parameters())
    )
