"""Names of nnU-Net's weights.

``nnunet_names.json`` holds names and shapes of the state dicts of dynamic-network-architectures 0.4.4: PlainConvUNet of
features 2, 4, 6, 8 and ResidualEncoderUNet of features 2, 4, 4; two channels, three outputs, deep supervision.
"""

import doctest
import json
from pathlib import Path

import pytest

from segxfer3d import networks
from segxfer3d.networks import nnunet_names
from segxfer3d.networks.nnunet_names import from_nnunet

THEIRS = json.loads(Path(__file__).with_suffix("").with_name("nnunet_names.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "features"), [("plain_unet", [2, 4, 6, 8]), ("resenc_unet", [2, 4, 4])])
def test_every_tensor_has_its_own_of_the_same_shape(name, features):
    network = getattr(networks, name)(2, 3, features=features, deep_supervision=True)
    named = [(from_nnunet(theirs, len(features) - 1), shape) for theirs, shape in THEIRS[name].items()]
    mapped = [(ours, shape) for ours, shape in named if ours]
    assert len(mapped) == len(dict(mapped))
    assert dict(mapped) == {ours: list(tensor.shape) for ours, tensor in network.state_dict().items()}


def test_doctest():
    assert doctest.testmod(nnunet_names).failed == 0
