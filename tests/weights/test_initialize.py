"""Transfer: what comes across, what stays, what is refused."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import genesis_unet, plain_unet, resenc_unet
from segxfer3d.weights.initialize import INITIALIZATIONS, initialize, load_all, needs_checkpoint

LOADED = {
    "random": set(), "encoder": {"encoder"}, "encoder+decoder": {"encoder", "decoder"},
    "whole": {"encoder", "decoder", "head"}, "frozen-encoder": {"encoder"}, "frozen-random": set(),
}  # fmt: skip


def network(seed, builder=genesis_unet, **arguments):
    torch.manual_seed(seed)
    return builder(width=2, **arguments)


@pytest.mark.parametrize(
    ("builder", "arguments"),
    [
        (genesis_unet, {}),
        (genesis_unet, {"deep_supervision": True}),
        (plain_unet, {"deep_supervision": True}),
        (plain_unet, {"norm": "batch"}),
        (resenc_unet, {}),
    ],
)
@pytest.mark.parametrize("init", INITIALIZATIONS)
def test_every_tensor_is_accounted_for(init, builder, arguments):
    source, target = network(0, builder, **arguments).state_dict(), network(1, builder, **arguments)
    for tensor in source.values():
        tensor += 1  # so that fresh statistics differ as well
    before = {key: value.clone() for key, value in target.state_dict().items()}
    report = initialize(target, init, source if needs_checkpoint(init) else None, "x.pt")
    after = target.state_dict()
    for key in after:
        expected = source if key.split(".")[0] in LOADED[init] else before
        assert torch.equal(after[key], expected[key]), key
    assert sorted(report.loaded + report.left) == sorted(after)
    assert sorted(report.used + report.unused) == sorted(source if needs_checkpoint(init) else [])
    assert target.frozen == ({"encoder"} if init.startswith("frozen") else set())
    assert init in report.summary()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_where_they_are_wanted(value):
    source, target = network(0).state_dict(), network(1)
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    source["head.bias"][0] = value
    initialize(target, "encoder", source, "x.pt")
    target.load_state_dict(before)
    with pytest.raises(InputError, match=r"^checkpoint x\.pt: head\.bias: not finite; its training had failed$"):
        load_all(target, source, "x.pt")
    assert all(torch.equal(tensor, before[key]) for key, tensor in target.state_dict().items())


def test_whole_keeps_its_own_head_where_the_shape_differs():
    target = network(1, out_channels=2)
    report = initialize(target, "whole", network(0).state_dict())
    assert set(report.left) == {"head.weight", "head.bias"}


def test_heads_of_coarser_levels_are_nobodys_loss():
    plain, deep = network(0), network(1, deep_supervision=True)
    auxiliary = {"head.auxiliary.0.weight", "head.auxiliary.0.bias"}
    assert set(initialize(deep, "whole", plain.state_dict()).left) == auxiliary
    assert torch.equal(deep.eval()(torch.ones(1, 1, 8, 8, 8)), plain.eval()(torch.ones(1, 1, 8, 8, 8)))
    assert set(initialize(plain, "whole", deep.state_dict()).unused) == auxiliary


def test_whole_wants_a_head():
    source = network(0).state_dict()
    del source["head.bias"]
    with pytest.raises(InputError, match=r"head\.bias is missing"):
        initialize(network(1), "whole", source)


def test_refusals_load_nothing():
    target = network(1)
    before = target.state_dict()["encoder.stages.0.0.weight"].clone()
    source = network(0).state_dict()
    with pytest.raises(InputError, match="expected one of random, encoder"):
        initialize(target, "encoder-only", source)
    with pytest.raises(InputError, match="needs a checkpoint"):
        initialize(target, "encoder")
    with pytest.raises(InputError, match="another width"):
        initialize(target, "encoder", genesis_unet(width=3).state_dict(), "wide.pt")
    del source["encoder.stages.3.0.weight"]
    with pytest.raises(InputError, match=r"encoder\.stages\.3\.0\.weight is missing"):
        initialize(target, "encoder", source)
    assert torch.equal(target.state_dict()["encoder.stages.0.0.weight"], before)


def test_load_all_wants_every_part():
    source = network(0).state_dict()
    target = network(1)
    assert load_all(target, source).left == []
    del source["head.bias"]
    with pytest.raises(InputError, match=r"head\.bias"):
        load_all(target, source)
