"""Segmentation: masks of another data set, or of other classes, teach the whole network (arXiv 2207.14508)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from segxfer3d.config.bundles import Recipe
from segxfer3d.losses import LabeledDiceLoss, with_valid
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.pretexts.base import Pretext, entry, unit_images

Augmentation = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class Segmentation(Pretext):
    """Dice loss on the masks that come with the pretext's images; trains every part.

    The loss is that of fine-tuning, :class:`~segxfer3d.losses.LabeledDiceLoss`. Of its training the paper says a
    constant rate; Adam, 0.001 and batches of 32 are our choice.

    Args:
        network: one output channel for each channel of the masks.
        augment: changes a batch's images and masks alike, in training only.
    """

    def __init__(self, network: SegmentationNetwork, augment: Augmentation | None = None) -> None:
        super().__init__(network)
        self.augment = augment
        self.dice_loss = LabeledDiceLoss()

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give ``loss``.

        Args:
            batch: ``image`` (N, C, *spatial), ``label`` (N, K, *spatial) of 0 and 1, and, where not every pixel has
                a label, ``valid`` (N, 1, *spatial), 0 at the pixels that do not count.
        """
        if self.augment is not None and self.training:
            batch = self.augment(batch)
        target = with_valid(entry(batch, "label"), batch.get("valid"))
        return {"loss": self.dice_loss(self.network(unit_images(batch)), target)}

    def pictures(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Images, what the network takes for a target of any class, and the masks of all classes as one."""
        images = unit_images(batch)
        output = torch.sigmoid(self.network(images).float())
        label = entry(batch, "label").amax(1, keepdim=True).float()
        return {"image": images, "output": output.amax(1, keepdim=True), "label": label}


RECIPE = Recipe(
    name="segmentation_pretrain",
    description="Segmentation in 2D: learn from the masks of another data set or class.",
    base="pretrain",
    dims=2,
    title="Segmentation",
    scenario="4",
    citation="Dippel et al., Transfer Learning for Segmentation Problems: Choose the Right Encoder and Skip the "
    "Decoder, 2022, arXiv 2207.14508",
    differs={
        "canvas_size": "$@image_size",
        "batch_size": 32,
        "data": {"task": "segmentation"},
        "network_def": {"out_channels": "$@data.masks"},
        "views": None,
        "augment": {
            "_target_": "segxfer3d.augment.finetune_views.FinetuneViews",
            "size": ["@image_size", "@image_size"],
        },
        "pretext": {
            "_target_": "segxfer3d.pretexts.segmentation.Segmentation",
            "network": "@network_def",
            "augment": "@augment",
        },
    },
)
