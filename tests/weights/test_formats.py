"""The formats of checkpoints from elsewhere: what each has to say of itself, and what a user is told."""

import pytest
import torch

from segxfer3d.config.knobs import KNOBS
from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet, imagenet_unet
from segxfer3d.networks.named import BUILDERS
from segxfer3d.weights.formats import imagenet
from segxfer3d.weights.formats.registry import FORMATS, recognize, translate
from tests.weights.test_genesis import fingerprint_weights

SOURCE = "checkpoint x.pt"


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.title)
def test_a_format_names_a_network_and_knobs(known):
    assert known.network in BUILDERS
    assert known.variants
    with torch.device("meta"):
        for variant in known.variants:
            assert set(variant) <= set(KNOBS)
            BUILDERS[known.network](**variant)
    for content in ({}, {"state_dict": {}}, {"state_dict": 1}, genesis_unet(width=1).state_dict()):
        assert not known.recognizes(content)


def test_what_a_user_is_told():
    published = {"state_dict": fingerprint_weights(), "epoch": 1}
    assert recognize(published).network == "genesis_unet"
    with torch.device("meta"):
        own, other = genesis_unet(batch_statistics=True).definition, genesis_unet().definition
    assert translate(published, own, SOURCE)[1] == ""
    state_dict, note = translate(published, other, SOURCE)
    assert note.endswith("trained with --width 32 --batch_statistics True")
    assert {key.split(".")[0] for key in state_dict} == {"encoder", "decoder", "head"}
    image = conrec_unet(width=2).definition
    with pytest.raises(InputError, match=r"x\.pt: a foreign one; .* of published Models Genesis .* genesis_unet"):
        translate(published, image, SOURCE, ["width", "backbone"])
    with pytest.raises(InputError, match=r"expected model\.pt of a run$"):
        translate({"a": 1}, image, SOURCE)


def test_a_near_miss_is_told_what_it_lacks():
    with torch.device("meta"):
        network = imagenet_unet("resnet18")
    with pytest.raises(InputError, match="under 'state_dict'"):
        translate({"a": torch.ones(1)}, genesis_unet(width=1).definition, SOURCE)
    with pytest.raises(InputError, match=r"no ImageNet resnet18: extra key a; missing key conv1\.weight"):
        translate({"a": torch.ones(1)}, network.definition, SOURCE)
    assert not imagenet.is_imagenet({"a"})
