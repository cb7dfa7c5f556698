"""A stem for another number of channels: what it gives for equal channels, what it says, and what has no rule."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet, plain_unet, resenc_unet
from segxfer3d.weights import checkpoint
from segxfer3d.weights.initialize import initialize, load_all
from segxfer3d.weights.passport import read_weights
from segxfer3d.weights.stem import has_rule
from tests.weights.test_passport import Target, write

BUILDERS = (genesis_unet, plain_unet, resenc_unet, conrec_unet)


def network(builder, channels, seed):
    torch.manual_seed(seed)
    return builder(width=4, in_channels=channels).eval()


def features(one, image):
    with torch.no_grad():
        return one.encoder(image)[-1]


def image_of(builder):
    return torch.rand((1, 1, 32, 32) if builder is conrec_unet else (1, 1, 32, 32, 32))


@pytest.mark.parametrize("builder", BUILDERS)
def test_equal_channels_give_what_the_one_gave(builder):
    before, now = network(builder, 1, 0), network(builder, 3, 1)
    report = initialize(now, "encoder", before.state_dict(), "x.pt")
    image = image_of(builder)
    three = image.expand(1, 3, *image.shape[2:])
    assert torch.allclose(features(now, three), features(before, image), atol=1e-5)
    assert report.stem == "its stem of 1 channel is repeated for 3 and divided by 3"
    assert report.summary().endswith(f"(from x.pt); {report.stem}")
    assert report.as_dict()["stem"] == report.stem


@pytest.mark.parametrize("builder", BUILDERS)
def test_one_channel_gives_what_equal_channels_gave(builder):
    before, now = network(builder, 2, 0), network(builder, 1, 1)
    report = initialize(now, "encoder", before.state_dict())
    image = image_of(builder)
    two = image.expand(1, 2, *image.shape[2:])
    assert torch.allclose(features(now, image), features(before, two), atol=1e-5)
    assert report.stem == "its stem of 2 channels is added up for 1"


def test_a_stem_that_fits_is_not_touched():
    report = initialize(network(genesis_unet, 3, 1), "encoder", network(genesis_unet, 3, 0).state_dict())
    assert report.stem == ""
    assert "stem" not in report.as_dict()


@pytest.mark.parametrize(("before", "now"), [(2, 3), (4, 2)])
def test_several_channels_for_several_others_are_refused(tmp_path, before, now):
    assert not has_rule(before, now)
    theirs, ours = network(genesis_unet, before, 0), network(genesis_unet, now, 1)
    with pytest.raises(InputError, match=f"has in_channels {before}, this one {now}"):
        read_weights(write(tmp_path, theirs), ours, Target(), init="encoder")
    kept = {key: value.clone() for key, value in ours.state_dict().items()}
    with pytest.raises(InputError, match="does not fit the encoder"):
        initialize(ours, "encoder", theirs.state_dict())
    assert all(torch.equal(kept[key], value) for key, value in ours.state_dict().items())


@pytest.mark.parametrize("folded", [0, 1])
def test_places_are_no_channels(tmp_path, folded):
    """Four channels that are a voxel's neighbors are neither made from one channel nor added up for one."""
    networks = [plain_unet(features=[2, 4], stem=stem) for stem in (None, (2, 2, 1))]
    theirs, ours = networks[1 - folded], networks[folded]
    with pytest.raises(InputError, match="its network has stem"):
        read_weights(write(tmp_path, theirs), ours, Target(), init="encoder")
    if folded:
        with pytest.raises(InputError, match="does not fit the encoder"):
            initialize(ours, "encoder", theirs.state_dict())


def test_a_checkpoint_of_one_channel_passes(tmp_path):
    theirs, ours = network(genesis_unet, 1, 0), network(genesis_unet, 3, 1)
    weights, _ = read_weights(write(tmp_path, theirs), ours, Target(), init="encoder")
    assert initialize(ours, "encoder", weights).stem


def test_evaluation_never_changes_a_stem(tmp_path):
    theirs = network(genesis_unet, 1, 0)
    path = write(tmp_path, theirs, classes={1: "liver"})
    with pytest.raises(InputError, match="does not fit"):
        load_all(network(genesis_unet, 3, 1), checkpoint.read_model(path)["state_dict"])
