"""MoCo's queue is a ring of the newest keys."""

import pytest
import torch

from segxfer3d import machine
from segxfer3d.errors import InputError
from segxfer3d.pretexts.moco import MoCo
from tests.pretexts.stand_ins import batch, network, optimizer_of, step, views


def moco(spatial_dims=2, channels=3, queue_size=10):
    return MoCo(network(spatial_dims, channels), views, queue_size, momentum=0.9, out_channels=4)


def test_what_it_trains():
    assert MoCo.trained_parts == ("encoder",)


def test_the_queue_is_a_ring():
    pretext = moco(queue_size=10)
    optimizer = optimizer_of(pretext)
    torch.testing.assert_close(pretext.queue.norm(dim=1), torch.ones(10))
    expected = pretext.queue.clone()
    for i, places in enumerate(([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1])):
        old = pretext.queue.clone()
        step(pretext, optimizer, i)
        changed = (pretext.queue != old).any(dim=1)
        assert sorted(places) == changed.nonzero().flatten().tolist()
        expected[places] = pretext.queue[places]
    assert torch.equal(pretext.queue, expected)
    assert int(pretext.position) == 2
    torch.testing.assert_close(pretext.queue.norm(dim=1), torch.ones(10))


def test_new_keys_are_negatives_from_the_next_step_on():
    pretext = moco().train()
    queue = pretext.queue.clone()
    pretext(batch())
    assert torch.equal(pretext.queue, queue)
    pretext.after_step()
    assert not torch.equal(pretext.queue, queue)


def test_the_momentum_encoder_follows():
    pretext = moco()
    before = {key: tensor.clone() for key, tensor in pretext.momentum_encoder.state_dict().items()}
    step(pretext, optimizer_of(pretext), 0)
    online = pretext.network.encoder.state_dict()
    for key, tensor in pretext.momentum_encoder.state_dict().items():
        expected = 0.9 * before[key] + 0.1 * online[key] if tensor.is_floating_point() else online[key]
        torch.testing.assert_close(tensor, expected, msg=key)


def test_batches_that_do_not_fit():
    pretext = moco(queue_size=10)
    pretext.check(10)
    with pytest.raises(InputError, match="at least 2"):
        pretext.check(1)
    with pytest.raises(InputError, match="queue_size: 10 keys, fewer than the 11"):
        pretext.check(11)


def test_a_queue_beyond_memory_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 2**20)
    with pytest.raises(InputError, match=r"queue_size 65536: takes 0\.00\d+ GiB; this machine has 0\.000977"):
        moco(queue_size=2**16)
