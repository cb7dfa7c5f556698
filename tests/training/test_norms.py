"""Batches that are too small for a network's norms."""

import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet
from segxfer3d.training.norms import check_norms

ONE = "batch_size 1: batch norm would take its statistics from a single patch"
SINGLE = "batch_size {}: a batch of patches of {} leaves a norm a single value a channel"


def volumes(**options):
    return genesis_unet(in_channels=1, out_channels=1, width=2, **options)


def test_a_batch_of_one():
    for network, shape in ((volumes(), (1, 1, 16, 16, 16)), (conrec_unet(width=2), (1, 3, 16, 16))):
        with pytest.raises(InputError, match=ONE):
            check_norms(network, shape)
        check_norms(network, shape, one_is_enough=True)
        check_norms(network, (2, *shape[1:]))


def test_statistics_that_evaluation_takes_anew_or_that_are_frozen():
    check_norms(volumes(batch_statistics=True), (1, 1, 16, 16, 16))
    frozen = volumes()
    frozen.freeze(["encoder", "decoder", "head"])
    check_norms(frozen, (1, 1, 16, 16, 16))
    check_norms(nn.Sequential(nn.Conv3d(1, 2, 3), nn.InstanceNorm3d(2)), (1, 1, 8, 8, 8))


def test_a_single_value_whatever_is_allowed():
    with pytest.raises(InputError, match=SINGLE.format(1, "8x8x8")):
        check_norms(volumes(), (1, 1, 8, 8, 8), one_is_enough=True)
    check_norms(volumes(), (2, 1, 8, 8, 8))
    instance = nn.Sequential(nn.Conv2d(1, 2, 3, stride=8, padding=1), nn.InstanceNorm2d(2))
    with pytest.raises(InputError, match=SINGLE.format(4, "8x8")):
        check_norms(instance, (4, 1, 8, 8))


def test_the_network_is_left_alone_and_other_faults_are_not_hidden():
    network = volumes().eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    check_norms(network, (2, 1, 16, 16, 16))
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    with pytest.raises(RuntimeError):
        check_norms(network, (2, 3, 16, 16, 16))
