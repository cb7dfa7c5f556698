"""The blocks that networks are made of."""

import pytest
import torch
from torch import nn

from segxfer3d.networks.blocks import ConvBlock
from segxfer3d.networks.norms import BatchNorm


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_bfloat16_weight_gradients_of_the_smallest_features(depth):
    """oneDNN on CPUs with bfloat16 instructions gets a first side of 2 wrong; others have to stay as they are."""
    convolution = ConvBlock(3, 16, [16], batch_statistics=False)[0]
    x = torch.randn(4, 16, depth, 4, 4, generator=torch.Generator().manual_seed(0))
    gradients = []
    for amp in (False, True):
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            logits = convolution(x)
        logits.float().square().sum().backward()
        gradients.append(convolution.weight.grad.clone())
    assert (gradients[1] - gradients[0]).abs().max() < 0.05 * gradients[0].abs().max()


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_torch(training):
    """Its forward pass is written out for TorchScript: outputs, gradients and statistics stay those of torch."""
    ours, theirs = BatchNorm(3).train(training), nn.BatchNorm2d(3).train(training)
    for _ in range(2):
        x = torch.randn(4, 3, 5, 6, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        outputs = ours(x), theirs(y)
        assert torch.equal(*outputs)
        for output in outputs:
            output.square().sum().backward()
        assert torch.equal(x.grad, y.grad)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
