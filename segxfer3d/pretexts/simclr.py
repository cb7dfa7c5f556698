"""SimCLR: two views of an image belong together, among the views of the whole batch (Chen et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from segxfer3d.config.bundles import Recipe
from segxfer3d.losses import embedding_std, nt_xent
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.heads import ProjectionHead
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Pretext, Views


class SimCLR(Pretext):
    """NT-Xent between the projections of two views; trains the encoder.

    The means over the anchors of both directions are added, as in the authors' and ConRec's code: twice NT-Xent, which
    is the mean over all 2 N anchors.

    Both views pass the network as one batch, so that batch norm sees them together, as in the authors' code. Where
    several processes train, their batches are joined for the loss (not for batch norm); in evaluation they are not.

    Args:
        network: whose encoder is trained.
        views: draws a view of a batch.
        temperature: of NT-Xent.
        hidden: width of the projection head.
        out_channels: of the projection.
    """

    trained_parts = ("encoder",)
    smallest_batch = 2

    def __init__(
        self,
        network: SegmentationNetwork,
        views: Views,
        temperature: float = 0.5,
        hidden: int = 512,
        out_channels: int = 128,
    ) -> None:
        super().__init__(network)
        self.views = views
        self.temperature = temperature
        self.projection = ProjectionHead(network.encoder.channels[-1], hidden, out_channels)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: what ``views`` takes. Gives ``loss``, in it ``loss_contrast`` (NT-Xent, half of it),
        ``accuracy``, ``entropy`` and ``embedding_std``."""
        images = torch.cat([self.views(batch).image, self.views(batch).image])
        pooled = self.pool(self.network.encoder(images)[-1])
        first, second = self.projection(pooled).chunk(2)
        contrast = nt_xent(first, second, self.temperature, across_processes=self.training)
        return {
            "loss": shared.DIRECTIONS * contrast.loss,
            "loss_contrast": contrast.loss,
            "accuracy": contrast.accuracy,
            "entropy": contrast.entropy,
            "embedding_std": embedding_std(pooled),
        }


RECIPE = Recipe(
    name="simclr_pretrain",
    description="SimCLR in 2D: two views of an image belong together.",
    base="pretrain",
    dims=2,
    title="SimCLR",
    scenario="2",
    citation="Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020",
    options=(shared.Jitter, shared.Temperature),
    imports=shared.LARS_IMPORTS,
    differs={
        **shared.LARS,
        "pretext": {
            "_target_": "segxfer3d.pretexts.simclr.SimCLR",
            "network": "@network_def",
            "views": "@views",
            "temperature": "@temperature",
        },
    },
)
