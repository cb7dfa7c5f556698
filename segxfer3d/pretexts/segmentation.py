"""Segmentation: masks of another data set, or of other classes, teach the whole network (arXiv 2207.14508)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from monai.losses import DiceLoss
from torch import Tensor

from segxfer3d.networks import SegmentationNetwork
from segxfer3d.pretexts.base import Pretext, entry, unit_images

Augmentation = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Segmentation(Pretext):
    """Dice loss on the masks that come with the pretext's images; trains every part.

    One minus the dice of the sigmoid outputs, over all pixels of the batch that count, with 1 added to numerator and
    denominator; the mean over channels. This is also what fine-tuning minimizes.

    Args:
        network: one output channel for each channel of the masks.
        augment: changes a batch's images and masks alike, in training only.
    """

    def __init__(self, network: SegmentationNetwork, augment: Augmentation | None = None) -> None:
        super().__init__(network)
        self.augment = augment
        self.dice_loss = DiceLoss(batch=True, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give ``loss``.

        Args:
            batch: ``image`` (N, C, *spatial), ``label`` (N, K, *spatial) of 0 and 1, and, where not every pixel has
                a label, ``valid`` (N, 1, *spatial), 0 at the pixels that do not count.
        """
        if self.augment is not None and self.training:
            batch = self.augment(batch)
        label = entry(batch, "label").float()
        output = torch.sigmoid(self.network(unit_images(batch)).float())
        if "valid" in batch:
            counts = (batch["valid"] != 0).float()
            output, label = output * counts, label * counts
        return {"loss": self.dice_loss(output, label)}
