"""nnU-Net's residual U-Net: its size, and how it starts."""

import torch

from segxfer3d.networks import resenc_unet


def test_resenc_l_has_its_parameters():
    """102,348,965 of the published description, which has a head at each of five levels."""
    with torch.device("meta"):
        network = resenc_unet(1, 1, features=[32, 64, 128, 256, 320, 320])
    unused = sum(channels + 1 for channels in (320, 256, 128, 64))
    assert sum(parameter.numel() for parameter in network.parameters()) == 102_348_965 - unused


def test_a_block_starts_as_its_skip():
    torch.manual_seed(0)
    network = resenc_unet(width=2)
    block = network.encoder.get_submodule("stages.1.blocks.1")
    x = torch.rand(1, 4, 4, 4, 4)
    assert torch.equal(block(x), x)
