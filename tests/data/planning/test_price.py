import math

import pytest

from segxfer3d.data.planning.price import (
    REFERENCE_BATCH,
    REFERENCE_FEATURES,
    REFERENCE_PATCH,
    REFERENCE_STRIDES,
    count_step,
    small_price,
)
from segxfer3d.data.planning.topology import Topology, plan_topology, stem_for
from segxfer3d.networks import make_network

REFERENCE = Topology(REFERENCE_STRIDES, ((3, 3, 3),) * 4)


@pytest.mark.parametrize("name", ["plain_unet", "resenc_unet"])
@pytest.mark.parametrize("stem", [(1, 1, 1), (2, 2, 1)])
@pytest.mark.parametrize(("patch", "spacing"), [((64, 64, 8), (1.0, 1.0, 6.0)), ((32, 32, 32), (1.0, 1.0, 1.0))])
def test_weights_are_those_of_the_network(name, patch, spacing, stem):
    topology = plan_topology(spacing, patch, stem)
    features = tuple(16 * 2**level for level in range(len(topology.strides)))
    network = make_network(
        name,
        dims=3,
        in_channels=1,
        out_channels=3,
        width=16,
        features=features,
        strides=topology.strides,
        kernels=topology.kernels,
        stem=topology.stem,
    )
    assert network.encoder.divisors == topology.divisor
    step = count_step(patch, topology, features=features, network=name, classes=2)
    # biases, norms and the residual encoder's 1x1 convolutions are not counted
    assert step.weights == pytest.approx(sum(weight.numel() for weight in network.parameters()), rel=0.01)


def test_values_are_counted_as_nnunet_counts_them():
    # by hand: two levels of 4 and 8 features, a patch of 4x4x4, so maps of 64 and 8 voxels, 3 outputs
    topology = Topology(((1, 1, 1), (2, 2, 2)), ((3, 3, 3),) * 2)
    step = count_step((4, 4, 4), topology, features=(4, 8), classes=2)
    assert step.values == 2 * 4 * 64 + 2 * 8 * 8 + 3 * 4 * 64 + 3 * 64
    convolutions = 27 * (1 * 4 + 4 * 4) * 64 + 27 * (4 * 8 + 8 * 8) * 8 + 27 * (8 * 4 + 4 * 4) * 64 + 4 * 3 * 64
    assert step.products == convolutions + 8 * 4 * 8 * 8  # the transposed one, at the coarse level
    assert step.voxels == 64


def test_behind_a_stem_maps_are_smaller_and_heads_have_its_voxels():
    topology = Topology(((1, 1, 1), (2, 2, 2)), ((3, 3, 3),) * 2, (2, 2, 1))
    step = count_step((8, 8, 4), topology, features=(4, 8), classes=2)
    assert step.values == 2 * 4 * 64 + 2 * 8 * 8 + 3 * 4 * 64 + 4 * 3 * 64
    assert step.voxels == 256
    assert topology.sizes((8, 8, 4)) == [(4, 4, 4), (2, 2, 2)]


def test_a_small_step_is_what_was_measured():
    """42.6 to 113.7 ms, and 41.5 to 113.7 of nodules (32x32x8 behind a stem of 2, 2, 1); see the module's docstring."""
    reference = small_price(stem=False, classes=2)
    assert small_price(stem=True, classes=2) / reference == pytest.approx(0.38, rel=0.2)
    nodules = plan_topology((0.7, 0.7, 0.775), (32, 32, 8), (2, 2, 1))
    step = count_step((32, 32, 8), nodules, features=(16, 32, 64), classes=2)
    assert REFERENCE_BATCH * step.price / reference == pytest.approx(0.38, rel=0.2)


def test_a_stem_halves_what_it_can():
    assert stem_for((1.0, 1.0, 1.0), (32, 32, 16)) == (2, 2, 2)
    assert stem_for((1.0, 1.0, 1.0), (32, 32, 14)) == (2, 2, 1)
    assert stem_for((0.7, 0.7, 1.4), (64, 64, 32)) == (2, 2, 1)
    assert stem_for((3.0, 1.0, 1.0), (8, 8, 8)) == (1, 1, 1)


def test_the_reference_costs_its_voxels():
    step = count_step(REFERENCE_PATCH, REFERENCE, features=REFERENCE_FEATURES)
    assert step.price == pytest.approx(math.prod(REFERENCE_PATCH))


def test_memory_is_what_was_measured():
    """Peaks in MiB of one thread in float32 with dice and cross-entropy; see the module's docstring."""
    wide = tuple(4 * width for width in REFERENCE_FEATURES)
    cube = Topology(((1, 1, 1), *((2, 2, 2),) * 3), ((3, 3, 3),) * 4)
    for patch, topology, features, batch, peak in (
        (REFERENCE_PATCH, REFERENCE, REFERENCE_FEATURES, REFERENCE_BATCH, 93),
        (REFERENCE_PATCH, REFERENCE, wide, REFERENCE_BATCH, 255),
        ((40, 56, 40), cube, REFERENCE_FEATURES, 4, 363),
        ((40, 56, 40), cube, wide, 2, 595),
    ):
        step = count_step(patch, topology, features=features, classes=2)
        assert 1 <= step.memory(batch, amp=False) / 2**20 / peak < 1.25
        assert step.memory(batch, amp=True) < step.memory(batch, amp=False)
