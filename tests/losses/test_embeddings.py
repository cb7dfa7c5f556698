"""How widely embeddings spread: not at all where they collapsed, about 1 in all directions."""

import pytest
import torch

from segxfer3d.losses import embedding_std
from segxfer3d.losses.embeddings import normalized
from tests.losses.rows import assert_float32_under_autocast, embeddings


def test_rows_have_length_one():
    rows = normalized(5 * embeddings()[0].bfloat16())
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(5))


def test_a_collapsed_network():
    assert float(embedding_std(torch.ones(5, 7))) == pytest.approx(0, abs=1e-6)


def test_all_directions_are_about_one():
    vectors = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0))
    assert float(embedding_std(5 * vectors)) == pytest.approx(1, abs=0.01)


def test_float32_under_autocast():
    assert_float32_under_autocast(embedding_std, embeddings()[0])
