"""What contrastive losses share: cross-entropy over an anchor's candidates, and whether it teaches anything."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Contrast(NamedTuple):
    """A contrastive loss and what tells whether it teaches anything.

    Attributes:
        loss: scalar to minimize.
        accuracy: share of anchors whose positive is more similar than every negative.
        entropy: mean entropy (nats) of the softmax over an anchor's candidates; that of a network that tells nothing
            apart is the logarithm of their number.
    """

    loss: Tensor
    accuracy: Tensor
    entropy: Tensor


def contrast(logits: Tensor, positives: Tensor) -> Contrast:
    """Cross-entropy of each anchor's positive among its candidates.

    Args:
        logits: (N, candidates), similarities over the temperature; -inf for a candidate that is ruled out.
        positives: (N,), the number of each anchor's positive.
    """
    loss = F.cross_entropy(logits, positives)
    with torch.no_grad():
        accuracy = (logits.argmax(dim=1) == positives).float().mean()
        logs = logits.log_softmax(dim=1)
        # a candidate that is ruled out has the logarithm -inf, and no share
        entropy = -torch.where(logs.isinf(), 0.0, logs.exp() * logs).sum(dim=1).mean()
    return Contrast(loss, accuracy, entropy)
