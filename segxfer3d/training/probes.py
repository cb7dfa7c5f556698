"""How well classes can be told from embeddings, where classes exist: pure functions, which never train a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.errors import InputError


def _check(train: Tensor, train_categories: Tensor, test: Tensor, test_categories: Tensor) -> None:
    for name, rows, categories in (("train", train, train_categories), ("test", test, test_categories)):
        if rows.ndim != 2 or len(rows) == 0 or categories.shape != rows.shape[:1]:
            raise InputError(
                f"probe: expected {name} embeddings (N, D) with categories (N,), N > 0, got {tuple(rows.shape)} and "
                f"{tuple(categories.shape)}"
            )


@torch.no_grad()
def neighbor_accuracy(
    train: Tensor,
    train_categories: Tensor,
    test: Tensor,
    test_categories: Tensor,
    neighbors: int = 20,
    temperature: float = 0.07,
) -> float:
    """Accuracy of a vote among the nearest neighbors by cosine, each with weight exp(cosine / temperature).

    The vote of Wu et al. 2018 (arXiv 1805.01978), with fewer neighbors than their 200 because data sets are smaller.

    Args:
        train, train_categories: (N, D) and int64 (N,), what neighbors are taken from.
        test, test_categories: (M, D) and int64 (M,), what is classified.
        neighbors: how many vote; all, where there are fewer.
        temperature: of the weights.

    Raises:
        InputError: shapes that do not fit, or nothing to compare.
    """
    _check(train, train_categories, test, test_categories)
    similarity = F.normalize(test.float(), dim=1) @ F.normalize(train.float(), dim=1).T
    nearest, index = similarity.topk(min(neighbors, len(train)), dim=1)
    weights = ((nearest - 1) / temperature).exp()  # a cosine of 1 weighs 1: large exponents would overflow
    votes = torch.zeros(len(test), int(train_categories.max()) + 1, device=test.device)
    votes.scatter_add_(1, train_categories[index], weights)
    return float((votes.argmax(dim=1) == test_categories).double().mean())


@torch.no_grad()
def linear_accuracy(
    train: Tensor, train_categories: Tensor, test: Tensor, test_categories: Tensor, penalty: float = 0.1
) -> float:
    """Accuracy of ridge regression onto classes, in closed form and float64; the largest output is the class.

    Embeddings are standardized by the training part's mean and standard deviation; targets are 1 for the class and
    0 for others, less their means. A quick stand-in for training a linear layer on frozen features.

    Args:
        train, train_categories: (N, D) and int64 (N,).
        test, test_categories: (M, D) and int64 (M,).
        penalty: on the squared weights, multiplied by N.

    Raises:
        InputError: shapes that do not fit, or nothing to compare.
    """
    _check(train, train_categories, test, test_categories)
    rows = train.double()
    mean, std = rows.mean(dim=0), rows.std(dim=0, correction=0).clamp_min(1e-12)
    rows = (rows - mean) / std
    targets = F.one_hot(train_categories).double()
    offset = targets.mean(dim=0)
    n, d = rows.shape
    # the smaller of the two equal systems, over dimensions or over samples
    gram = rows.T @ rows if d <= n else rows @ rows.T
    gram.diagonal().add_(penalty * n)
    if d <= n:
        weights = torch.linalg.solve(gram, rows.T @ (targets - offset))
    else:
        weights = rows.T @ torch.linalg.solve(gram, targets - offset)
    outputs = (test.double() - mean) / std @ weights + offset
    return float((outputs.argmax(dim=1) == test_categories).double().mean())
