"""The dice loss that fine-tuning on images and the segmentation pretext minimize."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn

from segxfer3d.errors import InputError


class LabeledDiceLoss(nn.Module):
    """One minus dice over all pixels of a batch that have a label, with 1 added to numerator and denominator.

    The papers say "dice loss" and no more. Pixels are taken over the batch together, so that an image without
    foreground is no special case; the mean is over channels. Computed in float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice_loss = DiceLoss(batch=True, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            logits: (N, K, *spatial).
            target: (N, K + 1, *spatial) of 0 and 1: K masks, then 0 where a pixel does not count; see
                :func:`with_valid`.

        Raises:
            InputError: another number of masks than outputs.
        """
        if target.shape[1] != logits.shape[1] + 1:
            raise InputError(f"loss: {logits.shape[1]} outputs for {target.shape[1] - 1} masks; expected one for each")
        counts = target[:, -1:].float()
        loss: Tensor = self.dice_loss(torch.sigmoid(logits.float()) * counts, target[:, :-1].float() * counts)
        return loss


def with_valid(label: Tensor, valid: Tensor | None) -> Tensor:
    """Masks (N, K, *spatial) and what counts of them (N, 1, *spatial), None for all, as one target."""
    counts = torch.ones_like(label[:, :1]) if valid is None else (valid != 0).to(label.dtype)
    return torch.cat([label, counts], dim=1)
