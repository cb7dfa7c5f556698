"""CKA against the formulas written out, and what it must not depend on."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.interpret import cka
from segxfer3d.interpret.cka import CKA, compare
from segxfer3d.interpret.features import layer_features
from segxfer3d.networks import genesis_unet


def slow_hsic_unbiased(k, l):  # noqa: E741
    """The U-statistic itself: the mean of its kernel over all ordered quadruples of different samples."""
    n, k, l = len(k), k.tolist(), l.tolist()  # noqa: E741
    total = sum(k[i][j] * (l[i][j] + l[q][r] - 2 * l[i][q]) for i, j, q, r in itertools.permutations(range(n), 4))
    return total / math.perm(n, 4)


def slow_hsic_biased(k, l):  # noqa: E741
    n = len(k)
    h = torch.eye(n, dtype=k.dtype) - 1 / n
    return torch.trace(k @ h @ l @ h) / (n - 1) ** 2


def slow_cka(batches, hsic):
    """CKA of pairs of features, each batch given as (x, y): mean HSIC over batches, then the quotient."""
    grams = [(x.double() @ x.double().T, y.double() @ y.double().T) for x, y in batches]
    xy, xx, yy = (sum(hsic(b[i], b[j]) for b in grams) for i, j in ((0, 1), (0, 0), (1, 1)))
    return float(xy / (xx * yy) ** 0.5)


def related(n, p=5, q=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    y = x @ torch.randn(p, q, generator=generator) + torch.randn(n, q, generator=generator)
    return x, y + 3  # a mean that is not 0


def pair(*batches):
    cka = CKA(["x", "y"])
    for x, y in batches:
        cka.update({"x": x, "y": y})
    return cka.compute()


def test_one_batch_is_the_formula_on_the_full_data():
    x, y = related(9)
    result = pair((x, y))
    assert result.unbiased[0, 1] == pytest.approx(slow_cka([(x, y)], slow_hsic_unbiased), abs=1e-9)
    assert result.biased[0, 1] == pytest.approx(slow_cka([(x, y)], slow_hsic_biased), abs=1e-9)
    assert (result.batches, result.samples, result.names) == (1, 9, ("x", "y"))
    assert "full data" in result.biased_estimate


def test_several_batches_are_the_mean_of_hsic():
    batches = [related(8, seed=seed) for seed in range(3)]
    result = pair(*batches)
    assert result.unbiased[1, 0] == pytest.approx(slow_cka(batches, slow_hsic_unbiased), abs=1e-9)
    assert result.biased[1, 0] == pytest.approx(slow_cka(batches, slow_hsic_biased), abs=1e-9)
    assert "minibatch, 24 samples in 3 batches" in result.biased_estimate


def test_independent_features_are_apart_only_without_the_bias():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 512, 2048, generator=generator)
    whole = pair((x, y))
    parts = pair(*zip(x.split(16), y.split(16), strict=True))
    assert abs(whole.unbiased[0, 1]) < 0.01
    assert abs(parts.unbiased[0, 1]) < 0.05  # one standard deviation is 0.016
    assert whole.biased[0, 1] == pytest.approx(0.80, abs=0.01)
    assert parts.biased[0, 1] == pytest.approx(0.99, abs=0.01)


def test_batches_estimate_what_all_samples_together_do():
    x, y = related(2048, seed=3)
    whole, parts = pair((x, y)), pair(*zip(x.split(32), y.split(32), strict=True))
    assert parts.unbiased[0, 1] == pytest.approx(whole.unbiased[0, 1], abs=0.01)


def test_rotation_scale_and_shift_do_not_matter():
    x, y = related(40, p=6)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    before, after = pair((x, y)), pair((100 * x @ rotation + 1000, 0.01 * y))
    np.testing.assert_allclose(after.unbiased, before.unbiased, atol=1e-4)
    np.testing.assert_allclose(after.biased, before.biased, atol=1e-4)
    assert pair((x, 3 * x @ rotation)).unbiased[0, 1] == pytest.approx(1, abs=1e-6)
    assert pair((x, x)).unbiased[0, 1] == pytest.approx(1)


def test_the_ways_to_a_gram_matrix_agree():
    x, _ = related(12, p=9000)  # more than is taken at a time
    x = x.float() + 100
    centered = x.double() - x.double().mean(0)
    for gram in (cka._gram_of_arrays, cka._gram_of_tensors):
        torch.testing.assert_close(gram(x), centered @ centered.T, rtol=1e-10, atol=1e-7)
    torch.testing.assert_close(cka._gram_of_arrays(x.bfloat16()), cka._gram_of_tensors(x.bfloat16()))


def test_the_matrix_is_symmetric_with_ones():
    x, y = related(30)
    three = CKA(["a", "b", "c"])
    three.update({"c": x.flip(0), "a": x, "b": y})
    matrix = three.compute().unbiased
    assert matrix.shape == (3, 3)
    assert (matrix == matrix.T).all()
    assert matrix.diagonal() == pytest.approx(1)
    assert matrix[0, 1] == pair((x, y)).unbiased[0, 1]
    three.reset()
    with pytest.raises(InputError, match="no batch"):
        three.compute()


def test_collapsed_features_are_not_a_number():
    x, _ = related(10)
    result = pair((x, torch.full((10, 3), 0.1)))
    assert result.unbiased[0, 0] == pytest.approx(1)
    assert math.isnan(result.unbiased[0, 1])
    assert math.isnan(result.unbiased[1, 1])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"x": torch.zeros(8, 2)}, "expected those of"),
        ({"x": torch.zeros(8, 2), "y": torch.zeros(7, 2)}, "the same number"),
        ({"x": torch.zeros(3, 2), "y": torch.zeros(3, 2)}, "4 or more"),
        ({"x": torch.zeros(8, 2), "y": torch.full((8, 2), torch.nan)}, "features of y: NaN"),
    ],
)
def test_bad_batches_are_refused(features, message):
    with pytest.raises(InputError, match=message):
        CKA(["x", "y"]).update(features)


def test_names_have_to_differ():
    with pytest.raises(InputError, match="none twice"):
        CKA(["x", "x"])


def network(seed):
    torch.manual_seed(seed)
    return genesis_unet(width=2)


def test_networks_are_compared_on_the_same_images():
    networks = {"a": network(0), "b": network(1), "again": network(0)}
    images = torch.rand(20, 1, 16, 16, 8, generator=torch.Generator().manual_seed(0))
    result = compare(networks, images.split(10), images_at_once=4)
    assert result.unbiased[0, 2] == pytest.approx(1)
    assert result.unbiased[0, 0] == pytest.approx(1)
    assert result.unbiased[0, 1] < 0.999
    cka = CKA(list(networks))
    for batch in images.split(10):
        with torch.no_grad():
            cka.update({name: each.eval().encoder(batch)[-1] for name, each in networks.items()})
    np.testing.assert_allclose(result.unbiased, cka.compute().unbiased, atol=1e-4)
    assert not any(module._forward_hooks for each in networks.values() for module in each.modules())
    with pytest.raises(InputError, match="b: layer 'extra'"):
        compare({"b": networks["b"]}, [images], "extra")


def test_features_are_those_of_the_layer():
    unet = network(0).eval()
    images = torch.rand(2, 1, 16, 16, 8)
    with layer_features(unet) as features:
        got = features(images)
    assert got.shape == (2, 32 * 2 * 2 * 1)
    assert not got.requires_grad
    torch.testing.assert_close(got, unet.encoder(images)[-1].detach().flatten(1))
    block = unet.decoder.stages[0]
    with layer_features(unet, "decoder.stages.0.1") as features:  # an in-place ReLU follows
        assert (features(images) < 0).any()
    assert not block[1]._forward_hooks


def test_nothing_behind_the_layer_runs():
    class Last(nn.Module):
        def forward(self, x):
            raise AssertionError

    with layer_features(nn.Sequential(nn.Flatten(), Last()), "0") as features:
        assert features(torch.zeros(2, 3, 4)).shape == (2, 12)


def test_layers_that_cannot_be_used_are_refused():
    unet = network(0)
    with (
        pytest.raises(InputError, match=r"encoder, decoder, head\); close to it: encoder"),
        layer_features(unet, "encodr"),
    ):
        pass
    unused = nn.Sequential(nn.Identity())
    unused.other = nn.Identity()
    unused.forward = lambda x: x
    with layer_features(unused, "other") as features, pytest.raises(InputError, match="does not use it"):
        features(torch.zeros(2, 3))
    flat = nn.Sequential(nn.Flatten(0))
    with layer_features(flat, "0") as features, pytest.raises(InputError, match=r"expected an output \(N, ...\)"):
        features(torch.zeros(2, 3))
