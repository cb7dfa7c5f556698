"""NT-Xent, SimCLR's contrast of the views of a batch, in float32 whatever the autocast around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.losses.contrast import Contrast, contrast
from segxfer3d.losses.embeddings import normalized
from segxfer3d.losses.gather import gather


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5, across_processes: bool = True) -> Contrast:
    """Normalized temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, equation 1).

    Each of the 2 N embeddings is an anchor; the other view of its image is the positive among the 2 N - 1 others::

        loss = mean over anchors i of -log(exp(cos(i, j) / t) / sum over k != i of exp(cos(i, k) / t))

    ``accuracy`` and ``entropy`` are those that ConRec's published code watches: of the first view's N anchors, over the
    N embeddings of the second view.

    Args:
        first, second: (N, D), the embeddings of two views of N images, N >= 2; need not be normalized.
        temperature: t.
        across_processes: join the batches of all processes first (of the same N in each), so that every process
            computes the loss of one process with the whole batch.
    """
    with torch.autocast(first.device.type, enabled=False):
        first, second = normalized(first), normalized(second)
        if across_processes:
            first, second = gather(first), gather(second)
        n = len(first)
        both = torch.cat([first, second])
        itself = torch.eye(2 * n, dtype=torch.bool, device=both.device)
        logits = (both @ both.T / temperature).masked_fill(itself, float("-inf"))
        positives = torch.arange(2 * n, device=both.device).roll(n)
        watched = contrast(logits[:n, n:].detach(), positives[:n] - n)
        return Contrast(F.cross_entropy(logits, positives), watched.accuracy, watched.entropy)
