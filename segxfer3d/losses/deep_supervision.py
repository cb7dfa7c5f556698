"""A loss at several levels of a decoder, so that the coarse ones are taught directly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segxfer3d.errors import InputError


class DeepSupervisionLoss(nn.Module):
    """The weighted mean of a loss over the levels of a network, each weighing half of the next finer one.

    Weights 1, 1/2, 1/4 ..., divided by their sum, as in nnU-Net (Isensee et al., Nature Methods 18, 2021), which
    leaves its coarsest level out; here every level that the network gives counts.

    Args:
        loss: of outputs (N, C, *spatial) and a target of the same spatial shape.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            outputs: of each level, the finest first; or a single one, as networks in evaluation give it.
            target: (N, C, *spatial) at the finest level's size; of coarser levels, the nearest voxel counts.

        Raises:
            InputError: no outputs; or as the loss.
        """
        levels = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        if not levels:
            raise InputError("deep supervision: expected the outputs of at least one level, got none")
        weights = [0.5**level for level in range(len(levels))]
        losses = [self.loss(output, smaller(target, output.shape[2:])) for output in levels]
        total: Tensor = sum(weight / sum(weights) * loss for weight, loss in zip(weights, losses, strict=True))
        return total


def smaller(target: Tensor, size: Sequence[int]) -> Tensor:
    """A target at a smaller size, of its own type: voxel i is voxel floor(i x factor), as torch's mode ``nearest``.

    This is where a convolution of stride 2 is centered.

    Args:
        target: (N, C, *spatial).
        size: spatial lengths.
    """
    for axis, (length, wanted) in enumerate(zip(target.shape[2:], size, strict=True), 2):
        if length % wanted == 0:
            target = target[(slice(None),) * axis + (slice(None, None, length // wanted),)]
        else:
            target = target.index_select(axis, torch.arange(wanted, device=target.device) * length // wanted)
    return target
