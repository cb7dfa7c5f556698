"""What fine-tuning minimizes: dice, alone or with cross-entropy, of classes that overlap or that exclude each other."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.errors import InputError
from segxfer3d.losses.activation import check_activation
from segxfer3d.losses.deep_supervision import DeepSupervisionLoss

LOSSES = ("dice", "dice_ce")


class SegmentationLoss(nn.Module):
    """One minus dice of the foreground classes, and with ``cross_entropy`` the mean cross-entropy added to it.

    Dice is taken over all voxels of a batch together, with 1 added to numerator and denominator, and averaged over the
    foreground classes: with ``sigmoid`` and without cross-entropy it is MONAI's ``DiceLoss(sigmoid=True, batch=True,
    smooth_nr=1, smooth_dr=1)`` bit for bit, or :class:`~segxfer3d.losses.dice.LabeledDiceLoss` where the target says
    what counts. Cross-entropy is binary and averaged over classes and voxels with ``sigmoid``, and over the voxels with
    ``softmax``; both terms weigh the same, as in nnU-Net (Isensee et al., Nature Methods 18, 2021). Computed in
    float32.

    Args:
        activation: ``sigmoid`` for K outputs, or ``softmax`` for K + 1, the background first; see
            :mod:`~segxfer3d.losses.activation`.
        cross_entropy: add cross-entropy.

    Raises:
        InputError: an unknown activation.
    """

    def __init__(self, activation: str = "sigmoid", *, cross_entropy: bool = False) -> None:
        super().__init__()
        check_activation(activation)
        self.activation = activation
        self.cross_entropy = cross_entropy
        self.dice_loss = DiceLoss(batch=True, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            logits: (N, K, *spatial), or (N, K + 1, *spatial) of ``softmax``.
            target: (N, K, *spatial) masks of 0 and 1, or (N, K + 1, *spatial): a last one, 0 where a voxel does not
                count, see :func:`~segxfer3d.losses.dice.with_valid`. With ``softmax`` a voxel has one class; where
                masks overlap, cross-entropy adds them up.

        Raises:
            InputError: a number of outputs that does not fit the target.
        """
        classes = logits.shape[1] - (self.activation == "softmax")
        if classes < 1 or target.shape[1] - classes not in (0, 1) or target.shape[2:] != logits.shape[2:]:
            raise InputError(
                f"loss: {self.activation} outputs of shape {tuple(logits.shape)} do not fit a target of shape "
                f"{tuple(target.shape)}"
            )
        with torch.autocast(logits.device.type, enabled=False):
            logits, label = logits.float(), target[:, :classes].float()
            counts = target[:, -1:].float() if target.shape[1] > classes else None
            loss = self._softmax if self.activation == "softmax" else self._sigmoid
            return loss(logits, label, counts)

    def _sigmoid(self, logits: Tensor, label: Tensor, counts: Tensor | None) -> Tensor:
        loss = self._dice(torch.sigmoid(logits), label, counts)
        if self.cross_entropy:
            error = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
            loss = loss + _mean(error, counts)
        return loss

    def _softmax(self, logits: Tensor, label: Tensor, counts: Tensor | None) -> Tensor:
        logs = logits.log_softmax(1)
        loss = self._dice(logs[:, 1:].exp(), label, counts)
        if self.cross_entropy:
            background = (1 - label.sum(1, keepdim=True)).clamp_min(0)
            truth = torch.cat([background, label], 1)
            voxels: Tensor | int = background.numel()
            if counts is not None:
                truth, voxels = truth * counts, counts.sum().clamp_min(1)
            loss = loss - (logs * truth).sum() / voxels  # quicker than gathering the one that counts
        return loss

    def _dice(self, probabilities: Tensor, label: Tensor, counts: Tensor | None) -> Tensor:
        if counts is not None:
            probabilities, label = probabilities * counts, label * counts
        loss: Tensor = self.dice_loss(probabilities, label)
        return loss


def _mean(error: Tensor, counts: Tensor | None) -> Tensor:
    """Mean over the voxels that count, 0 where none does; ``error`` (N, K, *spatial), ``counts`` (N, 1, *spatial)."""
    if counts is None:
        return error.mean()
    return (error * counts).sum() / (counts.sum() * error.shape[1]).clamp_min(1)


def make_loss(name: str, *, activation: str = "sigmoid", deep_supervision: int = 0) -> nn.Module:
    """The loss of the option ``loss``: ``dice`` or ``dice_ce``.

    Args:
        name: one of :data:`LOSSES`.
        activation: of the network's outputs, see :class:`SegmentationLoss`.
        deep_supervision: auxiliary levels of the network; 0 for none. With some, the loss takes a list of outputs, see
            :class:`~segxfer3d.losses.deep_supervision.DeepSupervisionLoss`.

    Raises:
        InputError: an unknown name or activation.
    """
    if name not in LOSSES:
        raise InputError(f"loss: expected {' or '.join(LOSSES)}, got {name!r}")
    loss = SegmentationLoss(activation, cross_entropy=name == "dice_ce")
    return DeepSupervisionLoss(loss) if deep_supervision else loss
