"""What every format of the folder says of itself: its network, the options that fit, and what it is not."""

import pytest
import torch

from segxfer3d.config.options import infos
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.networks import genesis_unet
from segxfer3d.networks.named import NETWORKS
from segxfer3d.weights.formats import FORMATS


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.title)
def test_a_format_names_a_network_and_its_options(known):
    network = NETWORKS[known.network]
    assert known.variants
    with torch.device("meta"):
        for variant in known.variants:
            assert set(variant) <= {name for group in network.options for name in infos(group)}
            network.builder(**variant)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.title)
def test_preprocessing_is_said_as_a_model_says_its_own(known):
    if known.preprocessing is not None:
        assert preprocessings.from_dict(known.preprocessing).as_dict() == known.preprocessing
    assert len(known.patch_size) in (0, *NETWORKS[known.network].dims)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.title)
def test_what_is_no_such_file_is_not_recognized(known):
    for content in ({}, {"state_dict": {}}, {"state_dict": 1}, genesis_unet(width=1).state_dict()):
        assert not known.recognizes(content)
