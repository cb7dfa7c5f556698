import copy
import doctest
import pickle

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader as MonaiDataLoader
from monai.transforms import Compose, MapTransform, Randomizable
from torch.utils.data import DataLoader, DistributedSampler

from segxfer3d.data import dataset as sampling
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.errors import InputError


class AddNoise(Randomizable, MapTransform):
    def __init__(self, keys):
        MapTransform.__init__(self, keys)

    def __call__(self, data):
        return {**data, "noise": torch.from_numpy(self.R.uniform(size=3))}


def make(entries=5, seed=3, length=None):
    data = [{"number": torch.tensor(number)} for number in range(entries)]
    return SeededDataset(data, Compose([AddNoise("number"), AddNoise("number")]), seed=seed, length=length)


def collect(batches):
    return [(batch["number"].tolist(), batch["noise"].tolist()) for batch in batches]


def test_doctest():
    assert doctest.testmod(sampling).failed == 0


def test_item_depends_on_seed_epoch_and_index_only():
    first, second = make(), make()
    forward = [first[i]["noise"].tolist() for i in range(5)]
    backward = [second[i]["noise"].tolist() for i in reversed(range(5))][::-1]
    assert forward == backward
    assert len({tuple(noise) for noise in forward}) == 5
    second.set_epoch(1)
    assert all(second[i]["noise"].tolist() != forward[i] for i in range(5))
    second.set_epoch(0)
    assert second[4]["noise"].tolist() == forward[4]
    assert make(seed=4)[0]["noise"].tolist() != forward[0]


def test_every_entry_is_used_equally_often_across_epochs():
    dataset = make(entries=5, length=3)
    seen = []
    for epoch in range(10):
        dataset.set_epoch(epoch)
        seen += [int(dataset[i]["number"]) for i in range(3)]
    passes = [seen[i : i + 5] for i in range(0, 30, 5)]
    assert all(sorted(part) == list(range(5)) for part in passes)
    assert len({tuple(part) for part in passes}) > 1


def test_length_beyond_the_data():
    dataset = make(entries=2, length=6)
    assert len(dataset) == 6
    numbers = [int(dataset[i]["number"]) for i in range(6)]
    assert [sorted(numbers[i : i + 2]) for i in (0, 2, 4)] == [[0, 1]] * 3
    assert len({tuple(dataset[i]["noise"].tolist()) for i in range(6)}) == 6


def test_order_does_not_share_its_seed_with_the_items():
    order = np.random.SeedSequence([3, 2], spawn_key=sampling._ORDER).generate_state(4)
    assert (order != np.random.SeedSequence([3, 2, 0]).generate_state(4)).any()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # two workers, also on one processor
def test_workers_give_the_same_batches_and_see_the_epoch():
    epochs = {}
    for workers in (0, 2):
        dataset = make(entries=6)
        loader = DataLoader(dataset, batch_size=2, num_workers=workers, persistent_workers=workers > 0)
        epochs[workers] = []
        for epoch in (0, 1, 5):
            dataset.set_epoch(epoch)
            epochs[workers].append(collect(loader))
    assert epochs[0] == epochs[2]
    assert epochs[0][0] != epochs[0][1] != epochs[0][2]


def test_ignite_epochs_are_seen_from_the_first_batch_on():
    dataset = make(entries=4)
    loader = MonaiDataLoader(dataset, batch_size=2, num_workers=1, persistent_workers=True)
    seen = {}
    engine = Engine(lambda engine, batch: seen.setdefault(engine.state.epoch - 1, []).append(batch))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: dataset.set_epoch(engine.state.epoch - 1))
    engine.run(loader, max_epochs=3)
    for epoch, batches in seen.items():
        dataset.set_epoch(epoch)
        assert collect(batches) == collect(DataLoader(dataset, batch_size=2))


def test_ranks_share_the_items_out():
    dataset = make(entries=6)
    whole = [dataset[i]["noise"].tolist() for i in range(6)]
    for rank in range(2):
        sampler = DistributedSampler(dataset, num_replicas=2, rank=rank, shuffle=False)
        assert [dataset[i]["noise"].tolist() for i in sampler] == whole[rank::2]


def test_copies_and_pickles():
    dataset = make()
    dataset.set_epoch(2)
    for other in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert other.epoch == 2
        assert other[1]["noise"].tolist() == dataset[1]["noise"].tolist()


def test_without_transform_and_with_a_plain_function():
    assert SeededDataset([7], None)[0] == 7
    assert SeededDataset([7], lambda number: number + 1)[-1] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": []}, "empty"),
        ({"data": [1], "seed": -1}, "seed is -1"),
        ({"data": [1], "length": 0}, "length is 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        SeededDataset(**arguments)


def test_index_and_epoch_out_of_range():
    dataset = make()
    with pytest.raises(IndexError):
        dataset[5]
    with pytest.raises(InputError, match="epoch is -1"):
        dataset.set_epoch(-1)
