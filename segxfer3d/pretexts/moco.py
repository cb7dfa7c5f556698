"""MoCo v2: a view's key is found among a queue of other images' keys (He et al. 2020; Chen et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.config.bundles import Recipe
from segxfer3d.config.options import Group, option
from segxfer3d.errors import InputError
from segxfer3d.losses import embedding_std, info_nce
from segxfer3d.losses.gather import gather, processes
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.heads import MoCoHead
from segxfer3d.networks.room import require_bytes
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Pretext, Views
from segxfer3d.pretexts.momentum import follow, momentum_copy

_COPIES = 3  # of the queue, while it is made


class MoCo(Pretext):
    """InfoNCE between a query and the momentum encoder's key of another view; trains the encoder.

    Queries and keys are normalized by the statistics of their own batch. The authors shuffle the keys' batch among
    GPUs, so that a key does not share its batch's statistics with the query, which would give it away. Shuffling
    changes nothing on one device, where the whole batch is normalized together, so nothing is done there; nor are
    keys shuffled among processes here. An ``accuracy`` near 1 within a few epochs is a sign of that leak.

    Args:
        network: whose encoder is trained.
        views: draws a view of a batch.
        queue_size: keys that serve as negatives. The authors' 65,536 are for ImageNet's 1.28 million images; a queue
            longer than the data set holds an image's own older keys as its negatives.
        momentum: of the momentum encoder.
        temperature: of InfoNCE.
        out_channels: of the projection.
    """

    trained_parts = ("encoder",)
    smallest_batch = 2
    queue: Tensor
    position: Tensor

    def __init__(
        self,
        network: SegmentationNetwork,
        views: Views,
        queue_size: int = 4096,
        momentum: float = 0.999,
        temperature: float = 0.2,
        out_channels: int = 128,
    ) -> None:
        super().__init__(network)
        self.views = views
        self.momentum = momentum
        self.temperature = temperature
        self.projection = MoCoHead(network.encoder.channels[-1], out_channels)
        self.momentum_encoder = momentum_copy(network.encoder)
        self.momentum_projection = momentum_copy(self.projection)
        require_bytes(f"queue_size {queue_size}", 4 * queue_size * out_channels * _COPIES)
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, out_channels), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self._new_keys: Tensor | None = None

    def check(self, batch_size: int) -> None:
        """See :meth:`Pretext.check`; the keys of a step have to fit into the queue."""
        super().check(batch_size)
        if batch_size * processes() > len(self.queue):
            raise InputError(
                f"queue_size: {len(self.queue)} keys, fewer than the {batch_size * processes()} of one step; "
                "expected a longer queue or a smaller batch_size"
            )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: what ``views`` takes. Gives ``loss``, ``accuracy``, ``entropy`` and ``embedding_std``."""
        pooled = self.pool(self.network.encoder(self.views(batch).image)[-1])
        queries = self.projection(pooled)
        with torch.no_grad():
            keys = self.momentum_projection(self.pool(self.momentum_encoder(self.views(batch).image)[-1])).float()
        contrast = info_nce(queries, keys, self.queue, self.temperature)
        if self.training:
            self._new_keys = gather(F.normalize(keys, dim=1))
        return {**contrast._asdict(), "embedding_std": embedding_std(pooled)}

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the momentum encoder; the step's keys replace the oldest of the queue."""
        follow(self.momentum_encoder, self.network.encoder, self.momentum)
        follow(self.momentum_projection, self.projection, self.momentum)
        if self._new_keys is not None:
            count, length = len(self._new_keys), len(self.queue)
            places = (self.position + torch.arange(count, device=self.queue.device)) % length
            self.queue[places] = self._new_keys
            self.position.copy_((self.position + count) % length)
            self._new_keys = None


@dataclass(frozen=True)
class Options(Group):
    """What MoCo alone has."""

    queue_size: int = option(4096, "keys that serve as negatives", least=1, most=2**24)


RECIPE = Recipe(
    name="moco_pretrain",
    description="MoCo v2 in 2D: find a view's key among a queue of other images' keys.",
    base="pretrain",
    dims=2,
    title="MoCo",
    scenario="2",
    citation="Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020, arXiv 2003.04297; after He et "
    "al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020",
    options=(shared.Jitter, shared.Temperature, shared.Momentum, Options),
    imports=shared.LARS_IMPORTS,
    differs={
        **shared.LARS,
        "temperature": 0.2,
        "momentum": 0.999,
        "queue_size": "$4096 if @dataset_dir else 256",
        "pretext": {
            "_target_": "segxfer3d.pretexts.moco.MoCo",
            "network": "@network_def",
            "views": "@views",
            "queue_size": "@queue_size",
            "momentum": "@momentum",
            "temperature": "@temperature",
        },
    },
)
