"""A network in whose place an engine computes."""

import torch

from segxfer3d.inference.engines.network import EngineNetwork
from tests.inference.engines.fakes import Fake, small_network

WINDOW = (1, 8, 8, 8)


def test_it_has_the_weights_of_the_network():
    network = small_network()
    engine = EngineNetwork(network, Fake().engine, amp=False)
    assert list(engine.state_dict()) == list(network.state_dict())
    assert engine.encoder.divisors == network.encoder.divisors
    assert engine.train().training
    assert network.training
    engine.eval()
    assert not network.training


def test_it_is_compiled_once_for_each_size_and_all_weights():
    fake = Fake()
    network = small_network()
    engine = EngineNetwork(network, fake.engine, amp=True)
    first = torch.rand(3, *WINDOW)
    with torch.no_grad():
        expected = network(first)
    torch.testing.assert_close(engine(first), expected)
    engine(first[:1])
    assert fake.compiled == [((1, *WINDOW), True)]
    engine(torch.rand(1, 1, 16, 8, 8))
    assert fake.compiled[1:] == [((1, 1, 16, 8, 8), True)]
    assert fake.converted == 1
    mine, other = {k: v.clone() for k, v in network.state_dict().items()}, small_network(seed=1)
    engine.load_state_dict(other.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(engine(first), other(first))
    assert len(fake.compiled) == 3
    engine.load_state_dict(mine)
    torch.testing.assert_close(engine(first), expected)
    assert len(fake.compiled) == 3


def test_the_last_sizes_are_kept():
    fake = Fake()
    engine = EngineNetwork(small_network(), fake.engine, amp=False)
    for side in (8, 16, 8, 32, 8, 16):
        engine(torch.rand(1, 1, side, 8, 8))
    assert [shape[2] for shape, _ in fake.compiled] == [8, 16, 32, 16]
    assert fake.converted == 1


def test_it_chooses_before_the_first_window_for_those_that_follow_too():
    fake, asked = Fake(), []

    def choose(network, shape):
        asked.append(shape)
        network.use(fake.engine)

    engine = EngineNetwork(small_network(), None, amp=False, choose=choose)
    other = small_network(seed=1)
    follower = EngineNetwork(other, None, amp=False)
    follower.follow(engine)
    window = torch.rand(1, *WINDOW)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(follower(window), other(window))
            engine(window)
    assert asked == [WINDOW]
    assert len(fake.compiled) == 2


def test_without_an_engine_it_is_torch():
    network, window = small_network(), torch.rand(1, *WINDOW)
    with torch.no_grad():
        assert torch.equal(EngineNetwork(network, None, amp=False, channels_last=False)(window), network(window))
        half = EngineNetwork(network, None, amp=True, channels_last=False)(window)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(half, network(window).float())
    assert half.dtype == torch.float32
