"""Labels as one number a voxel: what they say, and random voxels of a class."""

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from segxfer3d.augment.indexed_label import IndexedLabel, IndexedLabels
from segxfer3d.errors import InputError


def masks(*shape, share=0.2):
    return (np.random.default_rng(0).random(shape) < share).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_overlapping_classes_come_back(dtype):
    label = masks(5, 6, 7, 8).astype(dtype)
    indexed = IndexedLabel.of(label)
    assert indexed.index.dtype == np.uint8
    assert np.array_equal(np.moveaxis(indexed.table[indexed.index], -1, 0), label)
    assert not indexed.table[0].any()
    assert np.array_equal(indexed.counts[:, -1], label.sum((1, 2, 3)))


def test_many_sets_of_classes_take_two_bytes():
    label = masks(12, 10, 10, 20, share=0.5)
    indexed = IndexedLabel.of(label)
    assert indexed.index.dtype == np.uint16
    assert np.array_equal(np.moveaxis(indexed.table[indexed.index], -1, 0), label)


def test_too_many_sets_are_refused():
    with pytest.raises(InputError, match="label: 40 classes overlap in more than 65535 ways"):
        IndexedLabel.of(masks(40, 1, 100, 700, share=0.5))


def test_classes_are_drawn_evenly_and_their_voxels_too():
    label = np.zeros((3, 4, 5, 6), dtype=np.float32)
    label[0, 1:3, 2, 1:5] = 1
    label[2, 0, 0, 0] = label[2, 3, 4, 5] = 1
    indexed = IndexedLabel.of(label)
    draws = np.random.default_rng(0).random((4000, 2))
    found = [indexed.random_voxel(which, where, classes=3) for which, where in draws]
    assert all(label[0][place] or label[2][place] for place in found)
    numbers = {place: found.count(place) for place in set(found)}
    assert len(numbers) == 8 + 2
    of_first = [number for place, number in numbers.items() if label[0][place]]
    assert sum(of_first) == pytest.approx(2000, abs=150)
    assert stats.chisquare(of_first).pvalue > 0.01
    assert indexed.random_voxel(0.99, 0.0, classes=1) in [place for place in numbers if label[0][place]]


def test_where_nothing_is_there_is_no_voxel():
    indexed = IndexedLabel.of(np.zeros((2, 3, 3, 3), dtype=np.float32))
    assert indexed.random_voxel(0.5, 0.5, classes=2) is None


def test_a_label_is_indexed_once_until_it_changes_or_goes():
    labels, made = IndexedLabels(), []
    tensors = [torch.zeros(1, 3, 3, 3)]

    def make():
        made.append(1)
        return tensors[0].numpy()

    first = labels(tensors[0], make)
    assert labels(tensors[0], make) is first
    tensors[0][0, 1, 1, 1] = 1
    assert labels(tensors[0], make).counts[0, -1] == 1
    assert len(made) == 2
    assert len(labels._known) == 1
    assert len(copy.deepcopy(labels)._known) == len(pickle.loads(pickle.dumps(labels))._known) == 0
    tensors.clear()
    gc.collect()
    assert len(labels._known) == 0
