"""Finding the format of a checkpoint from elsewhere, and what a user is told."""

import dataclasses

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet, imagenet_unet
from segxfer3d.weights import formats
from segxfer3d.weights.formats import by_title, imagenet, recognize, translate
from tests.weights.formats.test_genesis import fingerprint_weights

SOURCE = "checkpoint x.pt"


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


def test_two_of_one_title_are_refused():
    with pytest.raises(InputError, match=r"published ImageNet weights: declared by formats/a\.py and by formats/b\.py"):
        by_title([("formats/a.py", imagenet.FORMAT), ("formats/b.py", imagenet.FORMAT)])


def test_a_file_that_looks_like_two_formats_is_refused(monkeypatch):
    other = dataclasses.replace(imagenet.FORMAT, title="another")
    monkeypatch.setattr(formats, "FORMATS", (imagenet.FORMAT, other))
    content = dict.fromkeys(["conv1.weight", "bn1.running_mean", "layer4.0.conv1.weight"])
    with pytest.raises(InputError, match="looks like published ImageNet weights and like another"):
        recognize(content)
