"""Probes of embeddings."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.training.probes import linear_accuracy, neighbor_accuracy


def clusters(n, d, spread, seed):
    """Embeddings around three directions, and which."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.eye(3, d)
    categories = torch.arange(n) % 3
    return centers[categories] + spread * torch.randn(n, d, generator=generator), categories


@pytest.mark.parametrize("probe", [neighbor_accuracy, linear_accuracy])
def test_probes_tell_classes_apart_where_they_are(probe):
    assert probe(*clusters(60, 8, 0.05, 0), *clusters(30, 8, 0.05, 1)) == 1.0
    noise, categories = clusters(300, 8, 100.0, 0)
    assert probe(noise, categories, *clusters(300, 8, 100.0, 1)) == pytest.approx(1 / 3, abs=0.12)


def test_neighbors_vote_with_their_weights():
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    categories = torch.tensor([0, 1, 1])
    test = torch.tensor([[3.0, 0.5]])
    assert neighbor_accuracy(train, categories, test, torch.tensor([0]), neighbors=3) == 1.0
    assert neighbor_accuracy(train, categories, test, torch.tensor([0]), neighbors=3, temperature=1e3) == 0.0


def test_both_forms_of_the_linear_probe_equal_least_squares_with_a_penalty():
    for n, d in ((30, 6), (12, 40)):
        train, categories = clusters(n, d, 0.5, 2)
        test, test_categories = clusters(40, d, 0.5, 3)
        mean, std = train.double().mean(0), train.double().std(0, correction=0)
        x, y = (train - mean) / std, torch.nn.functional.one_hot(categories).double()
        stacked = torch.cat([x, (0.1 * n) ** 0.5 * torch.eye(d)])
        weights = torch.linalg.lstsq(stacked, torch.cat([y - y.mean(0), torch.zeros(d, 3)])).solution
        expected = (((test - mean) / std @ weights + y.mean(0)).argmax(1) == test_categories).double().mean()
        assert linear_accuracy(train, categories, test, test_categories) == float(expected)


def test_probes_refuse_what_does_not_fit():
    rows, categories = clusters(6, 4, 0.1, 0)
    for probe in (neighbor_accuracy, linear_accuracy):
        with pytest.raises(InputError, match="test embeddings"):
            probe(rows, categories, rows, categories[:-1])
        with pytest.raises(InputError, match="train embeddings"):
            probe(rows[:0], categories[:0], rows, categories)
