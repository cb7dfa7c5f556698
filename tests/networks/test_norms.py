"""Instance norm against its formula, in both layouts and precisions; see test_blocks.py for batch norm."""

import pytest
import torch

from segxfer3d.networks.norms import InstanceNorm


def by_formula(norm, images):
    axes = tuple(range(2, images.ndim))
    mean = images.mean(dim=axes, keepdim=True)
    variance = ((images - mean) ** 2).mean(dim=axes, keepdim=True)
    each = (1, -1) + (1,) * len(axes)
    return (images - mean) / (variance + 1e-5).sqrt() * norm.weight.reshape(each) + norm.bias.reshape(each)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("sides", [(6, 4), (6, 4, 2)])
def test_it_is_the_formula_forward_and_backward(sides, layout):
    torch.manual_seed(0)
    norm = InstanceNorm(3)
    with torch.no_grad():
        norm.weight.uniform_(), norm.bias.uniform_()
    images = torch.randn(2, 3, *sides) * 3 + 5
    if layout == "channels last":
        images = images.contiguous(memory_format=torch.channels_last if len(sides) == 2 else torch.channels_last_3d)
    results = []
    for compute in (norm, lambda x: by_formula(norm, x)):
        x = images.detach().requires_grad_()
        output = compute(x)
        gradients = torch.autograd.grad((output**3).sum(), [x, norm.weight, norm.bias])
        results.append([output, *gradients])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_the_layout_stays():
    images = torch.rand(2, 3, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    assert InstanceNorm(3)(images).is_contiguous(memory_format=torch.channels_last_3d)


def test_an_image_is_normalized_alone():
    images = torch.rand(3, 2, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    norm = InstanceNorm(2)
    torch.testing.assert_close(norm(images)[1:2], norm(images[1:2].contiguous()))
