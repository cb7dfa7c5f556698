"""The negative cosine, BYOL's error, in float32 whatever the autocast around it."""

from __future__ import annotations

import torch
from torch import Tensor

from segxfer3d.losses.embeddings import normalized


def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """Minus the mean cosine between rows, in [-1, 1]; without gradient to ``targets``.

    BYOL's error (Grill et al. 2020, equation 2) is 2 + 2 x this.

    Args:
        predictions, targets: (N, D); need not be normalized.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        return -(normalized(predictions) * normalized(targets.detach())).sum(dim=1).mean()
