"""A loss at several levels: weights, targets of coarse levels, and a single output."""

import pytest
import torch
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.losses import make_loss
from segxfer3d.losses.deep_supervision import DeepSupervisionLoss, smaller


@pytest.mark.parametrize(
    ("size", "wanted"), [((8, 6), (4, 3)), ((8, 6, 4), (4, 3, 4)), ((8, 8, 4), (2, 4, 1)), ((7, 5), (4, 3))]
)
def test_coarse_targets_are_torchs_nearest(size, wanted):
    target = torch.randint(0, 2, (2, 3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    coarse = smaller(target, wanted)
    assert coarse.dtype == torch.uint8
    assert torch.equal(coarse.float(), F.interpolate(target.float(), wanted, mode="nearest"))
    assert torch.equal(smaller(target, size), target)


def test_each_level_weighs_half_of_the_finer_one():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 2, (2, 1, 8, 8, 4), generator=generator)
    outputs = [torch.randn(2, 1, *size, generator=generator) for size in ((8, 8, 4), (4, 4, 4), (2, 2, 2))]
    single = make_loss("dice_ce")
    levels = [
        float(single(output, F.interpolate(target.float(), output.shape[2:], mode="nearest"))) for output in outputs
    ]
    loss = make_loss("dice_ce", deep_supervision=2)
    assert float(loss(outputs, target)) == pytest.approx((4 * levels[0] + 2 * levels[1] + levels[2]) / 7)
    assert float(loss(outputs[:2], target)) == pytest.approx((2 * levels[0] + levels[1]) / 3)
    # a network in evaluation mode gives one output
    assert torch.equal(loss(outputs[0], target), single(outputs[0], target))


def test_nothing_is_refused():
    with pytest.raises(InputError, match="deep supervision: expected the outputs of at least one level"):
        DeepSupervisionLoss(make_loss("dice"))([], torch.zeros(1, 1, 2, 2))
