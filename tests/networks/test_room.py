"""Networks and batches that no memory takes are refused with what would fit, and nothing is allocated."""

import pytest
import torch

from segxfer3d import machine
from segxfer3d.errors import InputError
from segxfer3d.networks import make_network
from segxfer3d.networks.room import _kept, require_step

CPU = torch.device("cpu")
NAMES = {"plain_unet": 3, "conrec_unet": 2}


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    dims = NAMES[request.param]
    return make_network(request.param, dims=dims, in_channels=1, out_channels=1, width=4)


def sizes(network, side):
    return [side] * (3 if any(isinstance(each, torch.nn.Conv3d) for each in network.modules()) else 2)


def test_what_is_kept_for_the_backward_pass(network):
    """In half precision: what a forward pass in float32 keeps takes twice as much."""
    shape = (2, 1, *sizes(network, 32))
    kept = {}
    own = {parameter.data_ptr() for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        network.train()(torch.rand(shape))
    real = sum(tensor.nbytes for place, tensor in kept.items() if place not in own)
    assert 0.4 * real < _kept(network, shape) < 0.6 * real


@pytest.mark.parametrize(
    ("count", "side", "message"),
    [
        (2**20, 64, r"batch_size 1048576 with 64x64\S* (voxels|pixels): a step of training takes at least .* GiB; this "
                    r"machine has 4: batch_size \d+ may fit"),
        (4, 8192, r"batch_size 1 with \d+x\d+\S* may fit"),
    ],
)  # fmt: skip
def test_a_batch_beyond_memory(network, monkeypatch, count, side, message):
    monkeypatch.setattr(machine, "memory", lambda: 4 * 2**30)
    with pytest.raises(InputError, match=message):
        require_step(network, (count, 1, *sizes(network, side)), CPU)
    require_step(network, (4, 1, *sizes(network, 32)), CPU)


def test_a_window_beyond_memory(network, monkeypatch):
    """Named is the option, and a size that the network takes."""
    monkeypatch.setattr(machine, "memory", lambda: 2**30)
    shape = (1, 1, *sizes(network, 2**15))
    with pytest.raises(
        InputError, match=r"^window of 32768x32768\S* (voxels|pixels): a forward pass .* may fit$"
    ) as said:
        require_step(network, shape, CPU, training=False)
    smaller = [int(side) for side in str(said.value).split()[-3].split("x")]
    assert all(side % by == 0 for side, by in zip(smaller, network.encoder.divisors, strict=True))
    require_step(network, (1, 1, *smaller), CPU, training=False)


def test_a_network_beyond_memory(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 2**30)
    state = torch.random.get_rng_state()
    with pytest.raises(InputError, match=r"width: genesis_unet with \d+ channels has .* this machine has 1"):
        make_network("genesis_unet", dims=3, in_channels=1, out_channels=1, width=2048)
    assert torch.equal(torch.random.get_rng_state(), state)
