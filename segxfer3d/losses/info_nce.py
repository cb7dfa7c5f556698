"""InfoNCE, MoCo's contrast with a queue of negatives, in float32 whatever the autocast around it."""

from __future__ import annotations

import torch
from torch import Tensor

from segxfer3d.losses.contrast import Contrast, contrast
from segxfer3d.losses.embeddings import normalized


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float = 0.2) -> Contrast:
    """InfoNCE with a queue of negatives (MoCo, He et al. 2020, equation 1)::

        loss = mean over i of -log(exp(q_i . k_i / t) / (exp(q_i . k_i / t) + sum over queue of exp(q_i . n / t)))

    None of the three need be normalized: all similarities are cosines.

    Args:
        queries: (N, D), trained.
        keys: (N, D), the other views' embeddings, without gradient.
        queue: (K, D), embeddings of other images, without gradient.
        temperature: t; 0.2 is MoCo v2's.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys, queue = normalized(queries), normalized(keys.detach()), normalized(queue.detach())
        positive = (queries * keys).sum(dim=1, keepdim=True)
        logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
        return contrast(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
