"""The negative cosine against the formula."""

import pytest

from segxfer3d.losses import negative_cosine
from tests.losses.rows import assert_float32_under_autocast, cosine, embeddings


def test_slow_formula():
    predictions, targets = embeddings()
    pairs = zip(predictions.tolist(), targets.tolist(), strict=True)
    expected = -sum(cosine(p, t) for p, t in pairs) / 5
    assert float(negative_cosine(predictions, targets)) == pytest.approx(expected, rel=1e-5)
    assert float(negative_cosine(predictions, 3 * predictions)) == pytest.approx(-1)


def test_targets_get_no_gradient():
    predictions, targets = (tensor.clone().requires_grad_() for tensor in embeddings())
    negative_cosine(predictions, targets).backward()
    assert predictions.grad is not None
    assert targets.grad is None


def test_float32_under_autocast():
    assert_float32_under_autocast(negative_cosine, *embeddings())
