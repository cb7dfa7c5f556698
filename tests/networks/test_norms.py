"""Instance norm against its formula, in both layouts and precisions; see test_blocks.py for batch norm."""

import pytest
import torch

from segxfer3d.networks import norms
from segxfer3d.networks.norms import InstanceNorm


def by_formula(norm, images):
    axes = tuple(range(2, images.ndim))
    mean = images.mean(dim=axes, keepdim=True)
    variance = ((images - mean) ** 2).mean(dim=axes, keepdim=True)
    each = (1, -1) + (1,) * len(axes)
    output = (images - mean) / (variance + 1e-5).sqrt() * norm.weight.reshape(each) + norm.bias.reshape(each)
    return torch.where(output > 0, output, norm.slope * output)


@pytest.fixture(params=["loop", "one by one"])
def threads(request, monkeypatch):
    monkeypatch.setattr(norms, "LOOP_THREADS", 10**6 if request.param == "loop" else 0)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
@pytest.mark.parametrize("slope", [1.0, 0.01])
@pytest.mark.parametrize(("channels", "sides"), [(3, (6, 4)), (3, (6, 5, 7)), (70, (3, 3, 2))])
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_it_is_the_formula_forward_and_backward(channels, sides, slope, layout, precision, tolerance):
    torch.manual_seed(0)
    norm = InstanceNorm(channels, slope)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-1, 1)
    images = (torch.randn(2, channels, *sides) * 3 + 5).to(precision)
    if layout == "channels last":
        images = images.contiguous(memory_format=torch.channels_last if len(sides) == 2 else torch.channels_last_3d)
    seen = torch.randn(images.shape)
    results = []
    for compute, x in ((norm, images), (lambda x: by_formula(norm, x), images.float())):
        leaf = x.detach().requires_grad_()
        output = compute(leaf)
        gradients = torch.autograd.grad((output.float() * seen).sum(), [leaf, norm.weight, norm.bias])
        results.append([output, *gradients])
    assert results[0][0].dtype == precision
    for got, expected in zip(*results, strict=True):
        error = (got.float() - expected).abs().max() / expected.abs().max()
        assert float(error.detach()) < tolerance


def test_values_far_from_zero_lose_no_digits():
    images = (torch.randn(1, 2, 8, 8, 8) + 1000).contiguous(memory_format=torch.channels_last_3d)
    norm = InstanceNorm(2)
    torch.testing.assert_close(norm(images), by_formula(norm, images.double()).float(), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("threads")
def test_the_layout_stays():
    images = torch.rand(2, 3, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    assert InstanceNorm(3)(images).is_contiguous(memory_format=torch.channels_last_3d)


def test_an_image_is_normalized_alone():
    images = torch.rand(3, 2, 4, 4, 4).contiguous(memory_format=torch.channels_last_3d)
    norm = InstanceNorm(2)
    torch.testing.assert_close(norm(images)[1:2], norm(images[1:2].contiguous()))
