"""Sizes that a network takes, and what is said of the others."""

import pytest

from segxfer3d.errors import InputError
from segxfer3d.networks import genesis_unet, plain_unet
from segxfer3d.networks.sizes import refuse_size


def test_sizes_that_fit():
    refuse_size(genesis_unet(width=2), (16, 8, 8))
    refuse_size(plain_unet(width=2, strides=[1, (2, 2, 1), 2]), (8, 4, 2))
    refuse_size(genesis_unet(width=2), (8, 8, 8))  # a single voxel is enough for batch norm


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((30, 8, 16), r"^patch_size 30 x 8 x 16: does not divide by the strides of the network, 8 x 8 x 8; "
                      r"next sizes: 24 x 8 x 16 or 32 x 8 x 16$"),
        ((4, 8, 8), "next sizes: 8 x 8 x 8$"),
        ((8, 8), "^patch_size 8 x 8: expected 3 sides$"),
        ((8, 8, 8), "is one voxel after the strides of the network, where instance norm needs more; "
                    "next sizes: 16 x 16 x 16$"),
    ],
)  # fmt: skip
def test_sizes_that_do_not(size, message):
    with pytest.raises(InputError, match=message):
        refuse_size(plain_unet(width=2), size)


def test_the_option_has_its_name():
    with pytest.raises(InputError, match=r"^image_size 9 x 8"):
        refuse_size(plain_unet(width=2, spatial_dims=2), (9, 8), "image_size")
