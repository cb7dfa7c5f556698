"""Loaders: order, shares of processes, batches, and no more loader processes than processors."""

import logging
import os
import warnings

import pytest
import torch

from segxfer3d.data.dataset import SeededDataset
from segxfer3d.training import loaders
from segxfer3d.training.loaders import loss_loader, train_loader

CPU = torch.device("cpu")


def items(count):
    return [{"image": torch.tensor([float(i)]), "case": str(i)} for i in range(count)]


def numbers(loader):
    return [batch["image"].flatten().int().tolist() for batch in loader]


def test_every_process_takes_its_share_of_the_same_order():
    dataset = SeededDataset(items(12), None, 3, 12)
    whole = [number for batch in numbers(train_loader(dataset, batch_size=2, device=CPU)) for number in batch]
    assert sorted(whole) == list(range(12)) != whole
    shares = [numbers(train_loader(dataset, batch_size=2, device=CPU, rank=rank, world_size=2)) for rank in (0, 1)]
    for rank, share in enumerate(shares):
        assert [number for batch in share for number in batch] == whole[rank::2]


def test_what_fills_no_batch_is_left_out():
    dataset = SeededDataset(items(5), None, 0, 5)
    assert [len(batch) for batch in numbers(train_loader(dataset, batch_size=2, device=CPU))] == [2, 2]


def test_as_many_loader_processes_as_processors(monkeypatch, caplog):
    dataset = SeededDataset(items(6), None, 0, 6)
    expected = numbers(train_loader(dataset, batch_size=2, device=CPU))
    monkeypatch.setattr(loaders, "visible_processors", lambda: 1)
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = train_loader(dataset, batch_size=2, device=CPU, num_workers=3)
        assert loader.num_workers == 1
        assert numbers(loader) == expected
    assert caplog.messages == ["note: num_workers 3, but this process may use 1 processor: 1 loader process"]
    caplog.clear()
    for more in ({"num_workers": 3, "rank": 1, "world_size": 2}, {"num_workers": 1}):  # one process says it
        train_loader(dataset, batch_size=2, device=CPU, **more)
    assert not caplog.messages


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be hidden here")
def test_processors_that_are_hidden_are_not_counted():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert loaders.visible_processors() == 1
        dataset = SeededDataset(items(4), None, 0, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of more loader processes than processors
            assert train_loader(dataset, batch_size=2, device=CPU, num_workers=2).num_workers == 1
    finally:
        os.sched_setaffinity(0, before)
    assert loaders.visible_processors() == len(before)


def test_a_loss_is_of_full_batches_where_there_is_one():
    assert loss_loader(None, batch_size=2) is None
    for count, sizes in ((1, [1]), (3, [3]), (4, [4]), (5, [4])):
        assert [len(batch) for batch in numbers(loss_loader(items(count), batch_size=4))] == sizes


def test_a_loss_of_pairs_needs_two(caplog):
    with caplog.at_level(logging.INFO):
        assert loss_loader(items(1), batch_size=4, least=2) is None
        assert loss_loader(items(1), batch_size=4, least=2, rank=1) is None  # one process says it
        assert numbers(loss_loader(items(2), batch_size=4, least=2)) == [[0, 1]]
    assert caplog.messages == [
        "note: 1 image validates, and this pretext compares 2 or more: there is no validation; a larger "
        "validation_fraction gives one"
    ]
