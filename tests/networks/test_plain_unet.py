"""nnU-Net's U-Net: its size, its stages, deep supervision."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import plain_unet


def test_nnunets_default_has_its_parameters():
    """31,195,594 of the published description, less the head of the coarsest level (640 weights and 2 offsets)."""
    with torch.device("meta"):
        network = plain_unet(1, 2, features=[32, 64, 128, 256, 320, 320], deep_supervision=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_195_594 - 642


def test_stages_of_any_stride_and_kernel():
    network = plain_unet(2, 3, features=[2, 4, 6], strides=[1, (1, 2, 2), 2], kernels=[(1, 3, 3), 3, 3])
    image = torch.rand(2, 2, 4, 8, 8)
    features = network.encoder(image)
    assert [tuple(feature.shape[1:]) for feature in features] == [(2, 4, 8, 8), (4, 4, 4, 4), (6, 2, 2, 2)]
    assert network(image).shape == (2, 3, 4, 8, 8)
    assert network.encoder.divisors == (2, 4, 4)
    assert network.get_parameter("encoder.stages.0.0.convs.0.conv.weight").shape == (2, 2, 1, 3, 3)
    assert network.get_parameter("decoder.stages.1.convs.0.conv.weight").shape == (2, 4, 1, 3, 3)
    assert network.get_parameter("decoder.transpconvs.1.weight").shape == (4, 2, 1, 2, 2)


def test_width_doubles_up_to_nnunets_most():
    with torch.device("meta"):
        assert plain_unet(strides=[1, 2, 2, 2, 2, 2]).encoder.channels == (32, 64, 128, 256, 320, 320)
        assert plain_unet(spatial_dims=2, strides=[1, 2, 2, 2, 2, 2]).encoder.channels[-2:] == (512, 512)
        assert plain_unet().encoder.channels == (32, 64, 128, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 4}, "spatial_dims: expected 2 or 3, got 4"),
        ({"features": [8, 16], "strides": [1, 2, 2]}, "strides: expected 2 stages as the others have, got 3"),
        ({"features": [8]}, "expected at least two stages, got 1"),
        ({"features": [8, 0]}, r"features: expected numbers of channels of 1 or more, got \[8, 0\]"),
        ({"strides": [2, 2]}, r"strides: expected 1 along every axis of the first stage, got \[2, 2, 2\]"),
        ({"strides": [1, (2, 2)]}, "strides: expected for each stage a number or 3"),
        ({"kernels": [3, 2]}, "kernels: expected odd numbers"),
        ({"norm": "layer"}, "norm: expected one of instance, batch, got 'layer'"),
        (
            {"strides": [1, 2], "deep_supervision": True},
            "deep_supervision: needs a decoder of two stages or more, got 1",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        plain_unet(width=2, **arguments)
