"""The U-Net of any stages, in 2D and 3D."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS, UNet, build


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("up", ["transposed", "nearest"])
@pytest.mark.parametrize("skip", ["identity", "conv"])
def test_unet_in_any_dimension(spatial_dims, up, skip):
    network = UNet(spatial_dims, 1, 2, [[2, 3], [4], [5, 5]], [[4, 4], [3]], up=up, skip=skip)
    x = torch.rand(2, 1, *(16, 8, 12)[:spatial_dims])
    assert network(x).shape == (2, 2, *x.shape[2:])
    keys = set(network.state_dict())
    assert {key.split(".")[0] for key in keys} == set(PARTS)
    assert any(key.startswith("decoder.skips.") for key in keys) == (skip == "conv")
    assert any(key.startswith("decoder.up.") for key in keys) == (up == "transposed")
    assert set(build(network.definition).state_dict()) == keys


@pytest.mark.parametrize("wrong", [{"spatial_dims": 4}, {"up": "linear"}, {"skip": "sum"}, {"decoder_stages": [[2]]}])
def test_unet_refuses_what_it_does_not_know(wrong):
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}
    stages = {"encoder_stages": [[2], [2], [2]], "decoder_stages": [[2], [2]]}
    with pytest.raises(InputError, match=next(iter(wrong))):
        UNet(**{**arguments, **stages, **wrong})
