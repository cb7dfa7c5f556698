"""BYOL: predict the momentum network's projection of another view, without negatives (Grill et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from segxfer3d.config.bundles import Recipe
from segxfer3d.errors import InputError
from segxfer3d.losses import embedding_std, negative_cosine
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.heads import BYOLHead
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Pretext, Views
from segxfer3d.pretexts.momentum import cosine_momentum, follow, momentum_copy


class BYOL(Pretext):
    """Negative cosine between prediction and the other view's projection, both ways; trains the encoder.

    The loss is the mean of the two directions, in [-1, 1]; the paper's is 4 + 4 x this (the sum of 2 - 2 cosine).
    Each view passes the network by itself, so that batch norm sees one view at a time, as in the authors' code.

    Args:
        network: whose encoder is trained.
        views: draws a view of a batch.
        total_steps: of the whole training; the momentum rises to 1 over them.
        momentum: at the start.
        hidden: width of projector and predictor.
        out_channels: of the projection.

    Raises:
        InputError: no ``total_steps``.
    """

    trained_parts = ("encoder",)
    smallest_batch = 2
    steps: Tensor

    def __init__(
        self,
        network: SegmentationNetwork,
        views: Views,
        total_steps: int,
        momentum: float = 0.996,
        hidden: int = 4096,
        out_channels: int = 256,
    ) -> None:
        super().__init__(network)
        if total_steps < 1:
            raise InputError(f"total_steps: expected at least 1, got {total_steps}")
        self.views = views
        self.total_steps = total_steps
        self.momentum = momentum
        self.projection = BYOLHead(network.encoder.channels[-1], hidden, out_channels)
        self.prediction = BYOLHead(out_channels, hidden, out_channels)
        self.momentum_encoder = momentum_copy(network.encoder)
        self.momentum_projection = momentum_copy(self.projection)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: what ``views`` takes. Gives ``loss`` and ``embedding_std``."""
        views = [self.views(batch).image, self.views(batch).image]
        pooled = [self.pool(self.network.encoder(view)[-1]) for view in views]
        predictions = [self.prediction(self.projection(vector)) for vector in pooled]
        with torch.no_grad():
            targets = [self.momentum_projection(self.pool(self.momentum_encoder(view)[-1])) for view in views]
        loss = (negative_cosine(predictions[0], targets[1]) + negative_cosine(predictions[1], targets[0])) / 2
        return {"loss": loss, "embedding_std": embedding_std(torch.cat(pooled))}

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the momentum network, less and less."""
        momentum = cosine_momentum(self.momentum, int(self.steps), self.total_steps)
        follow(self.momentum_encoder, self.network.encoder, momentum)
        follow(self.momentum_projection, self.projection, momentum)
        self.steps += 1


RECIPE = Recipe(
    name="byol_pretrain",
    description="BYOL in 2D: predict the momentum network's projection of another view.",
    base="pretrain",
    dims=2,
    title="BYOL",
    scenario="2",
    citation="Grill et al., Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning, NeurIPS 2020",
    options=(shared.Jitter, shared.Momentum),
    imports=shared.LARS_IMPORTS,
    differs={
        **shared.LARS,
        "pretext": {
            "_target_": "segxfer3d.pretexts.byol.BYOL",
            "network": "@network_def",
            "views": "@views",
            "total_steps": "$@max_epochs * @steps_per_epoch",
            "momentum": "@momentum",
        },
    },
)
