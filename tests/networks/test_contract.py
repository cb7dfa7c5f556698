"""What every network of the folder keeps: its parts, its definition, its shapes, and that it can be exported."""

import inspect
import io
import json
import math

import pytest
import torch

from segxfer3d.config.options import infos
from segxfer3d.networks import PARTS, build
from segxfer3d.networks.blocks import FeatureEncoder
from segxfer3d.networks.named import NETWORKS

# arguments that keep a network small, where `width` does not
SMALL = {
    "unet": {"encoder_stages": [[2], [2]], "decoder_stages": [[2]]},
    "imagenet_unet": {"backbone": "resnet18", "decoder_channels": (4, 4, 4, 4, 4)},
}
CASES = [(name, dims) for name, network in NETWORKS.items() for dims in network.dims]


def small(name, dims, **more):
    """A small network with two classes, and images of its dimensions."""
    taken = inspect.signature(NETWORKS[name].builder).parameters
    arguments = {"in_channels": 1, "out_channels": 2, "spatial_dims": dims, "width": 2, **SMALL.get(name, {}), **more}
    torch.manual_seed(0)
    network = NETWORKS[name].builder(**{key: value for key, value in arguments.items() if key in taken})
    return network, torch.rand(2, 1, *(32, 64, 32)[:dims])


@pytest.mark.parametrize("name", NETWORKS)
def test_its_file_declares_it(name):
    declared = NETWORKS[name]
    assert declared.title
    assert set(declared.dims) <= {2, 3}
    assert all(infos(group) for group in declared.options)


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_parts_shapes_and_made_again(name, dims):
    network, images = small(name, dims)
    assert tuple(child for child, _ in network.named_children()) == PARTS
    assert {key.split(".")[0] for key in network.state_dict()} == set(PARTS)
    assert network.definition["name"] == name
    again = build(json.loads(json.dumps(network.definition)))
    again.load_state_dict(network.state_dict())
    logits = network.eval()(images)
    assert logits.shape == (2, 2, *images.shape[2:])
    assert torch.equal(again.eval()(images), logits)


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_the_encoder_gives_features_the_finest_first(name, dims):
    network, images = small(name, dims)
    encoder = network.encoder
    assert isinstance(encoder, FeatureEncoder)
    assert (encoder.spatial_dims, encoder.in_channels) == (dims, 1)
    features = encoder.eval()(images)
    assert tuple(feature.shape[1] for feature in features) == tuple(encoder.channels)
    for i, feature in enumerate(features):
        divisors = [math.prod(along) for along in zip(*encoder.strides[: i + 1], strict=True)]
        assert feature.shape[2:] == tuple(side // by for side, by in zip(images.shape[2:], divisors, strict=True))
    assert encoder.divisors == tuple(divisors)
    assert all(side % encoder.divisor == 0 for side in images.shape[2:])


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_the_last_layer_gives_the_last_feature(name, dims):
    """What Grad-CAM looks at."""
    network, images = small(name, dims)
    outputs = []
    layer = network.encoder.get_submodule(network.encoder.last_layer)
    layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    last = network.encoder.eval()(images)[-1]
    assert torch.equal(outputs[-1], last)


DEEP = [case for case in CASES if "deep_supervision" in inspect.signature(NETWORKS[case[0]].builder).parameters]
STAGES = {"encoder_stages": [[2], [2], [2], [2]], "decoder_stages": [[2], [2], [2]]}


@pytest.mark.parametrize(("name", "dims"), DEEP)
def test_deep_supervision_adds_levels_in_training_only(name, dims):
    extra = STAGES if name == "unet" else {}
    plain, images = small(name, dims, **extra)
    deep, _ = small(name, dims, deep_supervision=True, **extra)
    assert (plain.deep_supervision, deep.deep_supervision) == (0, 1)
    assert "deep_supervision" not in plain.definition["arguments"]
    keys = [key for key in deep.state_dict() if not key.startswith("head.auxiliary.")]
    assert keys == list(plain.state_dict())
    deep.load_state_dict(plain.state_dict(), strict=False)
    levels = deep.train()(images)
    assert [tuple(level.shape[2:]) for level in levels] == [tuple(s // 2**i for s in images.shape[2:]) for i in (0, 1)]
    assert torch.equal(levels[0], plain.train()(images))
    assert torch.equal(deep.eval()(images), plain.eval()(images))
    sum(level.square().mean() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in deep.parameters())
    assert build(json.loads(json.dumps(deep.definition))).deep_supervision == 1
    written = io.BytesIO()
    torch.jit.save(torch.jit.script(deep), written)


@pytest.mark.filterwarnings("ignore")  # torch warns of its next exporter, and that instance norm takes statistics
@pytest.mark.parametrize(("name", "dims"), CASES)
@pytest.mark.slow
def test_it_is_exported_to_onnx(name, dims):
    pytest.importorskip("onnx")
    network, images = small(name, dims)
    written = io.BytesIO()
    torch.onnx.export(network.eval(), (images,), written, dynamo=False)
    assert written.getbuffer().nbytes


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_scripted_it_gives_the_same(name, dims):
    """As `monai.bundle ckpt_export` does it, written and read again."""
    network, images = small(name, dims)
    network.eval()
    written = io.BytesIO()
    torch.jit.save(torch.jit.script(network), written)
    written.seek(0)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(written)(images), network(images))
