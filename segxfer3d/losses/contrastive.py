"""Contrastive losses and the negative cosine, in float32 whatever the autocast around them.

Embeddings need not be normalized; all similarities are cosines.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.losses.gather import gather


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


def _normalized(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=1)


def _contrast(logits: Tensor, positives: Tensor) -> Contrast:
    loss = F.cross_entropy(logits, positives)
    with torch.no_grad():
        accuracy = (logits.argmax(dim=1) == positives).float().mean()
        logs = logits.log_softmax(dim=1)
        # a candidate that is ruled out has the logarithm -inf, and no share
        entropy = -torch.where(logs.isinf(), 0.0, logs.exp() * logs).sum(dim=1).mean()
    return Contrast(loss, accuracy, entropy)


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5, across_processes: bool = True) -> Contrast:
    """Normalized temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, equation 1).

    Each of the 2 N embeddings is an anchor; the other view of its image is the positive among the 2 N - 1 others::

        loss = mean over anchors i of -log(exp(cos(i, j) / t) / sum over k != i of exp(cos(i, k) / t))

    Args:
        first, second: (N, D), the embeddings of two views of N images, N >= 2.
        temperature: t.
        across_processes: join the batches of all processes first (of the same N in each), so that every process
            computes the loss of one process with the whole batch.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = _normalized(first), _normalized(second)
        if across_processes:
            first, second = gather(first), gather(second)
        n = len(first)
        both = torch.cat([first, second])
        itself = torch.eye(2 * n, dtype=torch.bool, device=both.device)
        logits = (both @ both.T / temperature).masked_fill(itself, float("-inf"))
        positives = torch.arange(2 * n, device=both.device).roll(n)
        return _contrast(logits, positives)


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float = 0.2) -> Contrast:
    """InfoNCE with a queue of negatives (MoCo, He et al. 2020, equation 1)::

        loss = mean over i of -log(exp(q_i . k_i / t) / (exp(q_i . k_i / t) + sum over queue of exp(q_i . n / t)))

    Args:
        queries: (N, D), trained.
        keys: (N, D), the other views' embeddings, without gradient.
        queue: (K, D), embeddings of other images, without gradient.
        temperature: t; 0.2 is MoCo v2's.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys, queue = _normalized(queries), _normalized(keys.detach()), _normalized(queue.detach())
        positive = (queries * keys).sum(dim=1, keepdim=True)
        logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
        return _contrast(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """Minus the mean cosine between rows, in [-1, 1]; without gradient to ``targets``.

    BYOL's error (Grill et al. 2020, equation 2) is 2 + 2 x this.

    Args:
        predictions, targets: (N, D).
    """
    with torch.autocast(predictions.device.type, enabled=False):
        return -(_normalized(predictions) * _normalized(targets.detach())).sum(dim=1).mean()


@torch.no_grad()
def embedding_std(embeddings: Tensor) -> Tensor:
    """Standard deviation over rows of normalized embeddings, mean over their D values, times sqrt(D).

    About 1 where embeddings point in all directions, 0 where they have collapsed to one point.

    Args:
        embeddings: (N, D).
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = _normalized(embeddings)
        return rows.std(dim=0, correction=0).mean() * rows.shape[1] ** 0.5
