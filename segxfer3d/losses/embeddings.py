"""Embeddings as directions: normalized, and how widely they spread. Losses here take embeddings of any length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def normalized(embeddings: Tensor) -> Tensor:
    """(N, D) with rows of length 1, float32."""
    return F.normalize(embeddings.float(), dim=1)


@torch.no_grad()
def embedding_std(embeddings: Tensor) -> Tensor:
    """Standard deviation over rows of normalized embeddings, mean over their D values, times sqrt(D).

    About 1 where embeddings point in all directions, 0 where they have collapsed to one point.

    Args:
        embeddings: (N, D).
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = normalized(embeddings)
        spread: Tensor = rows.std(dim=0, correction=0).mean() * rows.shape[1] ** 0.5
        return spread
