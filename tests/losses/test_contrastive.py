"""Contrastive losses against slow, obvious versions of their formulas."""

import math

import pytest
import torch
from monai.losses import ContrastiveLoss

from segxfer3d.losses import embedding_std, info_nce, negative_cosine, nt_xent


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_nt_xent(first, second, t):
    views = [*first.tolist(), *second.tolist()]
    n, losses, hits, entropies = len(first), [], [], []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        scores = {k: math.exp(cosine(views[i], views[k]) / t) for k in range(2 * n) if k != i}
        shares = {k: score / sum(scores.values()) for k, score in scores.items()}
        losses.append(-math.log(shares[j]))
        hits.append(max(shares, key=shares.get) == j)
        entropies.append(-sum(s * math.log(s) for s in shares.values()))
    return [sum(values) / len(values) for values in (losses, hits, entropies)]


def slow_info_nce(queries, keys, queue, t):
    losses, hits, entropies = [], [], []
    for q, k in zip(queries.tolist(), keys.tolist(), strict=True):
        scores = [math.exp(cosine(q, other) / t) for other in [k, *queue.tolist()]]
        shares = [score / sum(scores) for score in scores]
        losses.append(-math.log(shares[0]))
        hits.append(max(shares) == shares[0])
        entropies.append(-sum(s * math.log(s) for s in shares))
    return [sum(values) / len(values) for values in (losses, hits, entropies)]


@pytest.fixture
def embeddings():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(5, 7, generator=generator)
    return first, first + torch.randn(5, 7, generator=generator)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent(embeddings, temperature):
    contrast = nt_xent(*embeddings, temperature)
    assert [float(value) for value in contrast] == pytest.approx(slow_nt_xent(*embeddings, temperature), rel=1e-4)
    monai = ContrastiveLoss(temperature)(*embeddings)
    torch.testing.assert_close(contrast.loss, monai, rtol=1e-5, atol=1e-6)
    gradient, expected = (torch.autograd.functional.jacobian(f, embeddings) for f in (
        lambda a, b: nt_xent(a, b, temperature).loss, ContrastiveLoss(temperature)))  # fmt: skip
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_info_nce(embeddings, temperature):
    queue = torch.randn(11, 7, generator=torch.Generator().manual_seed(1))
    contrast = info_nce(*embeddings, queue, temperature)
    expected = slow_info_nce(*embeddings, queue, temperature)
    assert [float(value) for value in contrast] == pytest.approx(expected, rel=1e-4)


def test_keys_queue_and_targets_get_no_gradient(embeddings):
    queries, keys = (tensor.clone().requires_grad_() for tensor in embeddings)
    queue = torch.randn(4, 7, requires_grad=True)
    info_nce(queries, keys, queue).loss.backward()
    assert queries.grad is not None
    assert keys.grad is None
    assert queue.grad is None
    negative_cosine(queries, keys).backward()
    assert keys.grad is None


def test_negative_cosine(embeddings):
    pairs = zip(*(tensor.tolist() for tensor in embeddings), strict=True)
    expected = -sum(cosine(p, t) for p, t in pairs) / 5
    assert float(negative_cosine(*embeddings)) == pytest.approx(expected, rel=1e-5)
    assert float(negative_cosine(embeddings[0], 3 * embeddings[0])) == pytest.approx(-1)


def test_a_collapsed_network(embeddings):
    same = torch.ones(5, 7)
    contrast = nt_xent(same, same)
    assert float(contrast.loss) == pytest.approx(math.log(9))
    assert float(contrast.entropy) == pytest.approx(math.log(9), rel=1e-5)
    assert float(embedding_std(same)) == pytest.approx(0, abs=1e-6)


def test_embedding_std_of_all_directions_is_about_one():
    vectors = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0))
    assert float(embedding_std(5 * vectors)) == pytest.approx(1, abs=0.01)


def test_losses_are_float32_under_autocast(embeddings):
    low = [tensor.bfloat16() for tensor in embeddings]
    exact = [tensor.float() for tensor in low]
    queue = torch.randn(6, 7)
    with torch.autocast("cpu", torch.bfloat16):
        got = [nt_xent(*low).loss, info_nce(*low, queue).loss, negative_cosine(*low), embedding_std(low[0])]
    want = [nt_xent(*exact).loss, info_nce(*exact, queue).loss, negative_cosine(*exact), embedding_std(exact[0])]
    for one, other in zip(got, want, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)
