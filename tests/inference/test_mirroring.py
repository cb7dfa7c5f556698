"""Mirrored inference: the mean over all choices of axes, turned back."""

import itertools

import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.networks.forward import NetworkForward


def images(dims, seed=0):
    return torch.rand(2, 1, *(6, 5, 4)[:dims], generator=torch.Generator().manual_seed(seed))


def network(dims):
    torch.manual_seed(0)
    return (nn.Conv2d if dims == 2 else nn.Conv3d)(1, 3, 3, padding=1)


@pytest.mark.parametrize(("dims", "axes"), [(2, (0,)), (2, (0, 1)), (3, (1, 2)), (3, (0, 1, 2))])
@torch.no_grad()
def test_the_mean_over_all_choices(dims, axes):
    module, batch = network(dims), images(dims)
    total = torch.zeros(2, 3, *batch.shape[2:])
    choices = list(itertools.product([False, True], repeat=len(axes)))
    for choice in choices:
        turned = [axis + 2 for axis, mirrored in zip(axes, choice, strict=True) if mirrored]
        total += module(batch.flip(turned)).flip(turned)
    torch.testing.assert_close(MirroredForward(amp=False, axes=axes)(batch, module), total / len(choices))


@torch.no_grad()
def test_without_axes_bit_for_bit_as_before():
    module, batch = network(3), images(3)
    for amp in (False, True):
        plain, mirrored = NetworkForward(amp)(batch, module), MirroredForward(amp)(batch, module)
        assert torch.equal(plain, mirrored)


@pytest.mark.parametrize("axes", [(3,), (-1,), (0, 0)])
def test_axes_that_are_not_there_are_refused(axes):
    with pytest.raises(InputError, match=r"mirror_axes: expected some of 0, 1, 2, each once at most, got \["):
        MirroredForward(axes=axes)
