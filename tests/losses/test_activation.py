"""Outputs to probabilities, and how many outputs there are."""

import doctest

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.losses import activation
from segxfer3d.losses.activation import foreground_probabilities, output_channels


def test_example():
    assert doctest.testmod(activation).failed == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"activation softmax: .* there is 1; expected --activation sigmoid"):
        output_channels("softmax", classes=1)
    with pytest.raises(InputError, match="activation: expected sigmoid or softmax, got 'relu'"):
        output_channels("relu", classes=2)


def test_probabilities_of_the_foreground():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    each = foreground_probabilities(logits, "sigmoid", dim=1)
    assert each.dtype == torch.float32
    torch.testing.assert_close(each, logits.float().sigmoid())
    shares = foreground_probabilities(logits, "softmax", dim=1)
    exponents = logits.double().exp()
    torch.testing.assert_close(shares.double(), (exponents / exponents.sum(1, keepdim=True))[:, 1:])
    torch.testing.assert_close(foreground_probabilities(logits[1], "softmax"), shares[1])
