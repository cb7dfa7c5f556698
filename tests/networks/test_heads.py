"""Heads: published size, pooling against the formula, shared and own decoder stages."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet
from segxfer3d.networks.heads import (
    AttentionPooling,
    AveragePooling,
    BYOLHead,
    ClassificationHead,
    DecoderBranch,
    MoCoHead,
    ProjectionHead,
    make_pooling,
)
from tests.networks.test_conrec_unet import values


def test_the_published_size_with_heads():
    """The paper's 8.65 M: its count has the fixed convolution of ones that spreads the attention over 512 channels."""
    network = conrec_unet(out_channels=3)
    heads = [AttentionPooling(512), ProjectionHead(512)]
    broadcast = 512
    assert values(network) + sum(values(head) for head in heads) + broadcast == 8_651_716


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_attention_pooling_is_a_weighted_mean(spatial_dims):
    pooling = AttentionPooling(16, spatial_dims).eval()
    features = torch.rand(2, 16, *(3, 4, 2)[:spatial_dims])
    weights = torch.sigmoid(pooling.attention(features))
    expected = torch.empty(2, 16)
    for n in range(2):
        for c in range(16):
            expected[n, c] = (features[n, c] * weights[n, 0]).sum() / weights[n, 0].sum()
    torch.testing.assert_close(pooling(features), expected)


def test_attention_pooling_stays_a_mean_where_all_weights_are_tiny():
    pooling = AttentionPooling(8).eval()
    torch.nn.init.constant_(pooling.attention[-1].bias, -200.0)
    features = torch.rand(2, 8, 4, 4)
    assert torch.isfinite(pooling(features)).all()
    torch.testing.assert_close(pooling(torch.ones(2, 8, 4, 4)), torch.ones(2, 8))


def test_dropout_touches_the_weights_only():
    torch.manual_seed(0)
    pooling = AttentionPooling(8, dropout=1.0)
    features = torch.rand(2, 8, 4, 4)
    torch.testing.assert_close(pooling(features), AveragePooling()(features))


def test_projection_head():
    head = ProjectionHead(16, hidden=8, out_channels=4)
    assert [name for name, _ in head.named_parameters() if name.endswith("bias")] == ["1.bias", "4.bias"]
    output = head(torch.rand(6, 16))
    torch.testing.assert_close(output.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    output.square().sum().backward()
    head.eval()
    assert head(torch.rand(1, 16)).shape == (1, 4)


def test_the_attention_normalizes_as_keras_does():
    norms = [layer for layer in AttentionPooling(64).modules() if hasattr(layer, "running_mean")]
    assert [(norm.eps, norm.momentum) for norm in norms] == [(1e-3, 0.01)] * 3
    projection = [layer for layer in ProjectionHead(64) if hasattr(layer, "running_mean")]
    assert [(norm.eps, norm.momentum) for norm in projection] == [(1e-5, 0.1)] * 3


@torch.no_grad()
def test_initial_weights_of_heads():
    torch.manual_seed(0)
    for layer in ProjectionHead(512):
        if isinstance(layer, torch.nn.Linear):
            assert float(layer.weight.std()) == pytest.approx(0.01, rel=0.03)
    branch = DecoderBranch(conrec_unet(width=64).decoder, 1, 3)
    kernel, bias = branch.decoder.stages[0][3].weight, branch.decoder.stages[0][3].bias
    assert float(kernel.std()) == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.03)
    assert not bias.any()
    for layer in AttentionPooling(512).attention[1]:
        if isinstance(layer, torch.nn.Conv2d):
            out, into = layer.weight.shape[:2]
            assert float(layer.weight.std()) == pytest.approx((2 / (out + into)) ** 0.5, rel=0.03)
            assert not layer.bias.any()
    linear = ClassificationHead(512, 30).linear
    assert float(linear.weight.std()) == pytest.approx((2 / 542) ** 0.5, rel=0.03)
    assert not linear.bias.any()


def test_other_heads():
    vectors = torch.rand(3, 16)
    assert MoCoHead(16, 4)(vectors).shape == (3, 4)
    assert [type(layer).__name__ for layer in MoCoHead(16)] == ["Linear", "ReLU", "Linear"]
    projector = BYOLHead(16, hidden=8, out_channels=4)
    assert BYOLHead(4, hidden=8, out_channels=4)(projector(vectors)).shape == (3, 4)
    for pooling in ("average", "attention"):
        assert ClassificationHead(16, 5, pooling, 3)(torch.rand(2, 16, 4, 2, 2)).shape == (2, 5)
    with pytest.raises(InputError, match="average, attention, got 'max'"):
        make_pooling("max", 16, 2)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("own", [0, 1, 3])
def test_branches_share_all_but_their_own_stages(spatial_dims, own):
    network = conrec_unet(in_channels=1, width=2, spatial_dims=spatial_dims)
    branch = DecoderBranch(network.decoder, own, out_channels=2)
    assert len(branch.decoder.stages) == own
    features = network.encoder(torch.rand(2, 1, *(16, 8, 8)[:spatial_dims]))
    shared = network.decoder.run(features[-1], features, 0, 3 - own)
    assert branch(shared, features).shape == (2, 2, *features[0].shape[2:])


def test_a_branch_with_the_same_weights_gives_the_same():
    network = conrec_unet(width=2).eval()
    branch = DecoderBranch(network.decoder, 2, out_channels=1).eval()
    for name in ("stages", "skips"):
        original = network.decoder.get_submodule(name)
        branch.decoder.get_submodule(name).load_state_dict(original[1:].state_dict())
    branch.head.load_state_dict(network.head.state_dict())
    x = torch.rand(1, 3, 16, 16)
    features = network.encoder(x)
    shared = network.decoder.run(features[-1], features, 0, 1)
    torch.testing.assert_close(branch(shared, features), network(x))
