"""The ImageNet network: shapes, input normalization, and the published layout computed step by step."""

import pytest
import torch
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, build, imagenet_unet


def conv_norm(x, w, conv, norm, **options):
    x = F.conv2d(x, w[f"{conv}.weight"], **options)
    parameters = [w[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *parameters)


def slow_resnet(x, w, convolutions):
    """A published ResNet, convolution by convolution, from its state dict (He et al. 2016; stride in the 3x3)."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    x = F.relu(conv_norm(x, w, "conv1", "bn1", stride=2, padding=3))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for layer in range(1, 5):
        block = 0
        while (name := f"layer{layer}.{block}") + ".conv1.weight" in w:
            stride = 2 if layer > 1 and block == 0 else 1
            strided = 1 if convolutions == 2 else 2
            y = x
            for i in range(1, convolutions + 1):
                size = w[f"{name}.conv{i}.weight"].shape[-1]
                options = {"stride": stride if i == strided else 1, "padding": size // 2}
                y = conv_norm(y, w, f"{name}.conv{i}", f"{name}.bn{i}", **options)
                y = F.relu(y) if i < convolutions else y
            if f"{name}.downsample.0.weight" in w:
                x = conv_norm(x, w, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
            x = F.relu(x + y)
            block += 1
    return x


@pytest.mark.parametrize(
    ("backbone", "parameters", "convolutions"),
    [("resnet18", 11_176_512, 2), ("resnet34", 21_284_672, 2), ("resnet50", 23_508_032, 3)],
)
def test_the_encoder_is_the_published_one(backbone, parameters, convolutions):
    torch.manual_seed(0)
    network = imagenet_unet(backbone, decoder_channels=(4, 4, 4, 4, 4)).eval()
    # torchvision's counts without the classifier of 1000 x (C + 1)
    assert sum(p.numel() for p in network.encoder.parameters()) == parameters
    weights = {key.removeprefix("resnet."): tensor for key, tensor in network.encoder.state_dict().items()}
    for key, tensor in weights.items():
        if "running" in key:
            tensor.uniform_(0.5, 1.5)
    x = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.encoder(x)[-1], slow_resnet(x, weights, convolutions), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_forward_parts_and_made_again(in_channels):
    network = imagenet_unet("resnet18", in_channels, out_channels=2, decoder_channels=(8, 8, 4, 4, 4))
    x = torch.rand(2, in_channels, 32, 64)
    assert network(x).shape == (2, 2, 32, 64)
    assert [f.shape[-1] for f in network.encoder(x)] == [64, 32, 16, 8, 4, 2]
    assert {key.split(".")[0] for key in network.state_dict()} == set(PARTS)
    assert not any("mean" in key.split(".")[1] for key in network.state_dict())
    again = build(network.definition)
    again.load_state_dict(network.state_dict())
    network.eval(), again.eval()
    assert torch.equal(network(x), again(x))


def test_gray_is_given_to_all_three_channels():
    torch.manual_seed(0)
    gray, color = (imagenet_unet("resnet18", channels, decoder_channels=(4,) * 5).eval() for channels in (1, 3))
    gray.load_state_dict(color.state_dict())
    x = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(gray(x), color(x.expand(1, 3, 32, 32)))


@pytest.mark.parametrize(
    "wrong", [{"backbone": "resnet152"}, {"in_channels": 4}, {"decoder_channels": [8, 8]}], ids=lambda w: next(iter(w))
)
def test_refusals(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        imagenet_unet(**wrong)
