"""Which engine is taken, and why not another."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.inference.engines import choice as choosing
from segxfer3d.inference.engines.choice import settle
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.networks import genesis_unet
from tests.inference.engines.fakes import Fake, small_network

SHAPE = (1, 8, 8, 8)
SECONDS = {"torch": 1.0, "fast": 0.5, "slow": 2.0}


@pytest.fixture
def known(monkeypatch):
    """Engines by name, and seconds that a window takes by each."""
    fakes = {"fast": Fake("fast"), "slow": Fake("slow")}
    monkeypatch.setattr(choosing, "engines", lambda: {name: fake.engine for name, fake in fakes.items()})
    order = iter([])

    def seconds(forward, window):
        return next(order)

    def timed(*names):
        nonlocal order
        order = iter([SECONDS[name] for name in names])
        monkeypatch.setattr(choosing, "_seconds", seconds)

    timed("torch", "fast", "slow")
    return fakes, timed


def test_auto_takes_the_fastest(known):
    fakes, _ = known
    network = EngineNetwork(small_network(), None, amp=False)
    chosen = settle(network, SHAPE, windows=100)
    assert (chosen.engine, chosen.precision, chosen.seconds) == ("fast", "float32", SECONDS)
    assert chosen.largest_difference == 0
    assert "engine fast in float32; seconds a window: torch 1, fast 0.5, slow 2; 100 windows; " in chosen.sentence()
    assert chosen.as_dict()["compile_seconds"].keys() == {"fast", "slow"}
    network(torch.rand(1, *SHAPE))
    assert len(fakes["fast"].compiled) == 1  # what was tried is used


def test_few_windows_are_not_worth_a_trial(known):
    fakes, _ = known
    network = EngineNetwork(small_network(), None, amp=True)
    chosen = settle(network, SHAPE, windows=9)
    assert (chosen.engine, chosen.precision) == ("torch", "bfloat16")
    assert "no other was tried" in chosen.sentence()
    assert fakes["fast"].compiled == []


def test_compiling_for_each_model_counts(known, monkeypatch):
    fakes, _ = known
    del fakes["slow"]
    monkeypatch.setattr(Fake, "convert", lambda self, network, example: network)
    clock = iter(range(0, 10_000, 100))  # each look at it is 100 s later, so that compiling takes as long
    monkeypatch.setattr("segxfer3d.inference.engines.network.time.perf_counter", lambda: next(clock))
    network = EngineNetwork(small_network(), None, amp=False)
    # ten models, 20 windows each: 200 s by torch, 100 s by the other one and 900 s for compiling it nine times more
    assert settle(network, SHAPE, windows=20, members=10).engine == "torch"
    assert network.engine is None


def test_one_that_cannot_take_it_is_passed_over(known):
    fakes, timed = known
    fakes["fast"].error = RuntimeError("no such operation\nmore of it")
    fakes["absent"] = Fake("absent", absent="has no such provider")
    fakes["wrong"] = Fake("wrong", factor=1.01)
    timed("torch", "slow")
    network = EngineNetwork(small_network(), None, amp=False)
    chosen = settle(network, SHAPE, windows=100)
    assert (chosen.engine, chosen.seconds) == ("torch", {"torch": 1.0, "slow": 2.0})
    notes = " | ".join(chosen.notes)
    assert "not fast: cannot take the network: RuntimeError: no such operation | " in notes
    assert "not absent: has no such provider" in notes
    assert "not wrong: cannot take the network: its logits differ from torch's by" in notes


def test_batch_statistics_leave_torch(known):
    network = EngineNetwork(genesis_unet(width=2, batch_statistics=True).eval(), None, amp=False)
    chosen = settle(network, (1, 16, 16, 16), windows=1000)
    assert chosen.engine == "torch"
    assert "no other can take the network: it normalizes by statistics of the batch" in chosen.sentence()


@pytest.mark.parametrize("amp", [False, True])
def test_a_named_engine_is_compared_with_torch(amp):
    network = EngineNetwork(small_network(), Fake("fast", factor=1.0001).engine, amp=amp)
    chosen = settle(network, SHAPE, windows=3)
    assert (chosen.engine, chosen.precision) == ("fast", "bfloat16" if amp else "float32")
    assert chosen.largest_difference == pytest.approx(1e-4 * chosen.largest_logit, rel=1e-2)
    assert "logits differ from torch's by up to" in chosen.sentence()


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_named_engine_that_says_something_else_is_refused(factor):
    network = EngineNetwork(small_network(), Fake("fast", factor=factor).engine, amp=False)
    with pytest.raises(InputError, match="engine fast: cannot take the network: its logits differ"):
        settle(network, SHAPE, windows=3)


def test_a_named_engine_that_fails_is_refused():
    network = EngineNetwork(small_network(), Fake("fast", error=ValueError("")).engine, amp=False)
    with pytest.raises(InputError, match="cannot take the network: ValueError: no reason given; --engine torch"):
        settle(network, SHAPE, windows=3)
