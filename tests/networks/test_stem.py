"""nnU-Net's networks behind a stem: resolutions, heads, what is saved, what is exported, what is refused."""

import io
import json

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.interpret.features import layer_features
from segxfer3d.interpret.gradcam import ForegroundScore, grad_cam
from segxfer3d.networks import PARTS, build, make_network, plain_unet, refuse_size, resenc_unet
from segxfer3d.networks.forward import NetworkForward
from segxfer3d.networks.heads import DecoderBranch
from segxfer3d.weights.initialize import initialize

BUILDERS = [plain_unet, resenc_unet]
STEM = {"features": [2, 4, 6], "kernels": [3, 3, 3]}


def stemmed(builder=plain_unet, stem=(2, 2, 1), **more):
    torch.manual_seed(0)
    return builder(1, 3, spatial_dims=len(stem), stem=stem, **STEM, **more), torch.rand(2, 1, *(16, 8, 8)[: len(stem)])


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("stem", [(2, 2, 1), (2, 2, 2), (2, 2)])
def test_features_are_coarser_logits_are_not(builder, stem):
    network, image = stemmed(builder, stem)
    encoder = network.encoder
    assert (encoder.in_channels, encoder.channels) == (1, (2, 4, 6))
    assert encoder.divisors == tuple(4 * by for by in stem)
    sizes = [tuple(feature.shape[2:]) for feature in encoder(image)]
    finest = tuple(side // by for side, by in zip(image.shape[2:], stem, strict=True))
    assert sizes == [tuple(side // by for side in finest) for by in (1, 2, 4)]
    logits = network.eval()(image)
    assert logits.shape == (2, 3, *image.shape[2:])
    assert tuple(name for name, _ in network.named_children()) == PARTS
    again = build(json.loads(json.dumps(network.definition)))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(image), logits)


@pytest.mark.parametrize("builder", BUILDERS)
def test_keys_and_definition_are_those_without(builder):
    network, _ = stemmed(builder, deep_supervision=True)
    without = builder(1, 3, deep_supervision=True, **STEM)
    assert list(network.state_dict()) == list(without.state_dict())
    assert network.definition["arguments"]["stem"] == [2, 2, 1]
    assert "stem" not in without.definition["arguments"]
    for ones in (1, [1, 1, 1]):
        same = builder(1, 3, deep_supervision=True, stem=ones, **STEM)
        assert same.definition == without.definition
    assert type(builder(1, 3, stem=1, **STEM).head) is type(builder(1, 3, **STEM).head)


def test_it_is_the_network_of_folded_images():
    """A head's channel `place * K + k` is class `k` of a place inside the block."""
    network, image = stemmed(stem=(2, 1, 1))
    inner = plain_unet(2, 6, **STEM)
    inner.load_state_dict(network.state_dict())
    folded = torch.cat([image[:, :, ::2], image[:, :, 1::2]], 1)
    with torch.no_grad():
        outer, parts = network.eval()(image), inner.eval()(folded).split(3, dim=1)
    torch.testing.assert_close(outer[:, :, ::2], parts[0])
    torch.testing.assert_close(outer[:, :, 1::2], parts[1])


@pytest.mark.parametrize("builder", BUILDERS)
def test_deep_supervision_has_the_resolutions_of_the_image(builder):
    network, image = stemmed(builder, deep_supervision=True)
    assert network.deep_supervision == 1
    levels = network.train()(image)
    assert [tuple(level.shape[1:]) for level in levels] == [(3, 16, 8, 8), (3, 8, 4, 4)]
    sum(level.square().mean() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    torch.testing.assert_close(network.eval()(image), levels[0])


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_in_any_layout_and_precision(builder, amp, channels_last):
    network, image = stemmed(builder)
    layout = torch.channels_last_3d if channels_last else torch.contiguous_format
    with torch.no_grad():
        expected = network.eval()(image)
        logits = NetworkForward(amp, channels_last)(image, network.to(memory_format=layout))
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.1 if amp else 1e-5)


@pytest.mark.filterwarnings("ignore")  # see test_contract
@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("stem", [(2, 2, 1), (2, 2)])
def test_exported_it_gives_the_same(builder, stem):
    network, image = stemmed(builder, stem, deep_supervision=True)
    written = io.BytesIO()
    torch.jit.save(torch.jit.script(network.eval()), written)
    written.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(written)(image), network(image))
    pytest.importorskip("onnx")
    torch.onnx.export(network, (image,), io.BytesIO(), dynamo=False)


@pytest.mark.parametrize("own_stages", [0, 1, 2])
def test_a_branch_of_the_decoder_gives_whole_resolution(own_stages):
    network, image = stemmed()
    decoder, features = network.decoder, network.encoder(image)
    branch = DecoderBranch(decoder, own_stages, 2)
    shared = decoder.run(features[-1], features, 0, 2 - own_stages)
    assert branch(shared, features).shape == (2, 2, *image.shape[2:])


def test_layers_are_looked_into():
    network, image = stemmed()
    network.eval()
    with layer_features(network) as features:
        assert features(image).shape == (2, 6 * 2 * 1 * 2)
    for layer in ("network.encoder", "network.decoder.stages.1", "network.head"):
        assert grad_cam(ForegroundScore(network), image, layer).shape == (2, *image.shape[2:])


def test_make_network_takes_it():
    arguments = {"in_channels": 1, "out_channels": 2, "width": 2}
    network = make_network("plain_unet", dims=3, stem=[2, 2, 1], **arguments)
    assert network.encoder.divisors == (16, 16, 8)
    assert make_network("plain", dims=2, stem=2, **arguments).encoder.divisors == (16, 16)
    for ones in (None, 1, [], [1, 1, 1]):
        assert make_network("genesis_unet", dims=3, stem=ones, **arguments).encoder.divisor == 8
    with pytest.raises(InputError, match="network genesis_unet: has no stem to choose"):
        make_network("genesis_unet", dims=3, stem=2, **arguments)


@pytest.mark.parametrize("stem", [0, (2, 2), (2, 2, 0), (2, 2, 1.5), -1])
def test_stems_that_are_none(stem):
    with pytest.raises(InputError, match=r"^stem: expected a number or 3, 1 or more, got"):
        make_network("plain_unet", dims=3, in_channels=1, out_channels=1, width=2, stem=stem)


def test_sizes_and_weights_that_do_not_fit():
    network, _ = stemmed()
    refuse_size(network, (16, 8, 8))
    with pytest.raises(InputError, match=r"divide by the stem and the strides of the network, 8 x 8 x 4; next sizes"):
        refuse_size(network, (16, 12, 8))
    with pytest.raises(InputError, match="stem"):
        initialize(network, "encoder", plain_unet(1, 3, **STEM).state_dict())
