"""Reconstruction: the network sees a corrupted image and gives back the clean one (Zhou et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.config.bundles import Recipe
from segxfer3d.errors import InputError
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Corruption, Pretext, Views, unit_images


class Reconstruction(Pretext):
    """Mean squared error between the sigmoid of the network's output and the clean target.

    A batch either brings corrupted and clean images (Models Genesis: the loader corrupts) or images alone, which are
    corrupted here, on the network's device.

    For images the paper does not say how many views and which weight. Here it is one view of an image and the error
    itself; the published code has no such mode, the nearest in it takes 100 times the error of two views.

    Args:
        network: one output channel for each image channel.
        views: draws a view of a batch, for images alone; without it they are taken as they are.
        corruption: of views, for images alone.
    """

    def __init__(
        self, network: SegmentationNetwork, views: Views | None = None, corruption: Corruption | None = None
    ) -> None:
        super().__init__(network)
        self.views = views
        self.corruption = corruption

    def pair(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The corrupted and the clean images of a batch, (N, C, *spatial) in [0, 1].

        Raises:
            InputError: no ``target`` in the batch and no ``corruption``.
        """
        if "target" in batch:
            return batch["image"], batch["target"]
        if self.corruption is None:
            raise InputError("reconstruction: the data bring no 'target', and no corruption is given to make images of")
        clean = unit_images(batch) if self.views is None else self.views(batch).image
        return self.corruption(clean).image, clean

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: ``image`` (N, C, *spatial), corrupted, and ``target``, clean, both in [0, 1]; or images alone,
        as ``views`` takes them. Gives ``loss``."""
        image, target = self.pair(batch)
        output = torch.sigmoid(self.network(image).float())
        return {"loss": F.mse_loss(output, target)}

    def pictures(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the network sees, what it makes of it, what it should make."""
        image, target = self.pair(batch)
        return {"corrupted": image, "output": torch.sigmoid(self.network(image).float()), "target": target}


RECIPE = Recipe(
    name="reconstruction_pretrain",
    description="Reconstruction in 2D: give back views of images from corrupted ones.",
    base="pretrain",
    dims=2,
    title="Reconstruction",
    scenario="4",
    citation="Zhou et al., Models Genesis, Medical Image Analysis 67 (2021) 101840; in 2D as in arXiv 2207.14508",
    options=(shared.Jitter,),
    imports=shared.LARS_IMPORTS,
    differs={
        **shared.LARS,
        "corruption": {"_target_": "segxfer3d.augment.conrec_corruption.BoxCorruption"},
        "pretext": {
            "_target_": "segxfer3d.pretexts.reconstruction.Reconstruction",
            "network": "@network_def",
            "views": "@views",
            "corruption": "@corruption",
        },
    },
)
