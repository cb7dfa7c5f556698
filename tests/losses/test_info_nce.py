"""InfoNCE against the slow and obvious version of its formula."""

import math

import pytest
import torch

from segxfer3d.losses import info_nce
from tests.losses.rows import assert_float32_under_autocast, cosine, embeddings


def slow_info_nce(queries, keys, queue, t):
    losses, hits, entropies = [], [], []
    for q, k in zip(queries.tolist(), keys.tolist(), strict=True):
        scores = [math.exp(cosine(q, other) / t) for other in [k, *queue.tolist()]]
        shares = [score / sum(scores) for score in scores]
        losses.append(-math.log(shares[0]))
        hits.append(max(shares) == shares[0])
        entropies.append(-sum(s * math.log(s) for s in shares))
    return [sum(values) / len(values) for values in (losses, hits, entropies)]


@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_slow_formula(temperature):
    pair = embeddings()
    queue = torch.randn(11, 7, generator=torch.Generator().manual_seed(1))
    contrast = info_nce(*pair, queue, temperature)
    expected = slow_info_nce(*pair, queue, temperature)
    assert [float(value) for value in contrast] == pytest.approx(expected, rel=1e-4)


def test_keys_and_queue_get_no_gradient():
    queries, keys = (tensor.clone().requires_grad_() for tensor in embeddings())
    queue = torch.randn(4, 7, requires_grad=True)
    info_nce(queries, keys, queue).loss.backward()
    assert queries.grad is not None
    assert keys.grad is None
    assert queue.grad is None


def test_float32_under_autocast():
    assert_float32_under_autocast(lambda *rows: info_nce(*rows).loss, *embeddings(), torch.randn(6, 7))
