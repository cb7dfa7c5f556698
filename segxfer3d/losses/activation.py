"""From a segmentation network's outputs to probabilities: classes each on its own, or against each other."""

from __future__ import annotations

import torch
from torch import Tensor

from segxfer3d.errors import InputError

ACTIVATIONS = ("sigmoid", "softmax")


def check_activation(activation: str) -> None:
    """Refuse an unknown activation.

    Raises:
        InputError: it is none of :data:`ACTIVATIONS`.
    """
    if activation not in ACTIVATIONS:
        raise InputError(f"activation: expected {' or '.join(ACTIVATIONS)}, got {activation!r}")


def output_channels(activation: str, *, classes: int) -> int:
    """Outputs of a network for so many foreground classes.

    ``sigmoid`` has one for each class, which may overlap; ``softmax`` has one more, the background, first.

    Raises:
        InputError: an unknown activation; or ``softmax`` with a single class, which has no other to be told from.

    Example:
        >>> output_channels("sigmoid", classes=3), output_channels("softmax", classes=3)
        (3, 4)
    """
    check_activation(activation)
    if activation == "sigmoid":
        return classes
    if classes < 2:
        raise InputError(
            f"activation softmax: tells several classes apart, but there is {classes or 'none'}; "
            "expected --activation sigmoid"
        )
    return classes + 1


def foreground_probabilities(logits: Tensor, activation: str, *, dim: int = 0) -> Tensor:
    """Probabilities of the foreground classes, float32; that of the background is what ``softmax`` leaves of 1.

    Args:
        logits: outputs of a network, as many along ``dim`` as :func:`output_channels` says.
        activation: one of :data:`ACTIVATIONS`.
        dim: of the outputs: 0 for a case, 1 for a batch.
    """
    logits = logits.float()
    if activation == "sigmoid":
        return torch.sigmoid(logits)
    return logits.softmax(dim).narrow(dim, 1, logits.shape[dim] - 1)
