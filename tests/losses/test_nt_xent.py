"""NT-Xent against the slow and obvious version of its formula, and against MONAI's."""

import math

import pytest
import torch
from monai.losses import ContrastiveLoss

from segxfer3d.losses import nt_xent
from tests.losses.rows import assert_float32_under_autocast, cosine, embeddings


def slow_nt_xent(first, second, t):
    views = [*first.tolist(), *second.tolist()]
    n, losses, hits, entropies = len(first), [], [], []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        scores = {k: math.exp(cosine(views[i], views[k]) / t) for k in range(2 * n) if k != i}
        shares = {k: score / sum(scores.values()) for k, score in scores.items()}
        losses.append(-math.log(shares[j]))
        if i < n:  # watched are the first view's anchors, over the second view
            shares = {k: scores[k] / sum(scores[m] for m in range(n, 2 * n)) for k in range(n, 2 * n)}
            hits.append(max(shares, key=shares.get) == j)
            entropies.append(-sum(s * math.log(s) for s in shares.values()))
    return [sum(values) / len(values) for values in (losses, hits, entropies)]


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_slow_formula(temperature):
    pair = embeddings()
    contrast = nt_xent(*pair, temperature)
    assert [float(value) for value in contrast] == pytest.approx(slow_nt_xent(*pair, temperature), rel=1e-4)
    monai = ContrastiveLoss(temperature)(*pair)
    torch.testing.assert_close(contrast.loss, monai, rtol=1e-5, atol=1e-6)
    gradient, expected = (torch.autograd.functional.jacobian(f, pair) for f in (
        lambda a, b: nt_xent(a, b, temperature).loss, ContrastiveLoss(temperature)))  # fmt: skip
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_collapsed_network():
    same = torch.ones(5, 7)
    contrast = nt_xent(same, same)
    assert float(contrast.loss) == pytest.approx(math.log(9))
    assert float(contrast.entropy) == pytest.approx(math.log(5), rel=1e-5)


def test_float32_under_autocast():
    assert_float32_under_autocast(lambda *pair: nt_xent(*pair).loss, *embeddings())
