"""ConRec: contrast and reconstruction together, encoder and decoder trained at once (Dippel et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segxfer3d.config.bundles import Recipe
from segxfer3d.config.options import Group, option
from segxfer3d.errors import InputError
from segxfer3d.losses import embedding_std, nt_xent
from segxfer3d.networks import SegmentationNetwork
from segxfer3d.networks.heads import AttentionPooling, DecoderBranch, ProjectionHead
from segxfer3d.pretexts import shared
from segxfer3d.pretexts.base import Corrupted, Corruption, Pretext, Views

TASKS = ("clean", "plain", "where", "blacked")


class ConRec(Pretext):
    """NT-Xent between the pooled features of two corrupted views, and mean squared errors of what the decoder makes.

    The tasks of the decoder (arXiv 2207.14508, its extension of ConRec; the letters are that paper's):

    * ``clean`` (b): the view before it was corrupted. The network's own decoder and head do it: they transfer.
    * ``plain`` (c): the same in its original colors, neither jittered nor blurred.
    * ``where`` (d): 1 where the view was corrupted, else 0.
    * ``blacked`` (e): the clean view, black where it was corrupted.

    All stages of the decoder but the last ``own_stages`` are shared; these and the output convolution each task has
    for itself. Both views pass the network as one batch.

    What the papers leave open: contrast and reconstruction use the same pass of corrupted views; each task's mean
    squared error is weighted by ``reconstruction_weight`` and these are added; a skip convolution belongs to the
    stage that takes it.

    Args:
        network: gives one output channel for each image channel.
        views: draws a view of a batch.
        corruption: of views.
        tasks: which of :data:`TASKS`, ``clean`` among them; ConRec itself has ``clean`` only.
        own_stages: decoder stages that are not shared, 1 by our choice: the paper shares "the first three blocks" of
            four, of which the published code has three; 0, only output convolutions; as many as the decoder has,
            nothing.
        contrastive_weight: of the sum of both directions' means, which is twice NT-Xent (the mean over all anchors).
        reconstruction_weight: of each task's mean squared error.
        temperature: of NT-Xent.
        hidden: width of the projection head.
        out_channels: of the projection.

    Raises:
        InputError: unknown or repeated ``tasks``, none of them ``clean``, or ``own_stages`` that the decoder has not.
    """

    smallest_batch = 2

    def __init__(
        self,
        network: SegmentationNetwork,
        views: Views,
        corruption: Corruption,
        tasks: Sequence[str] = TASKS,
        own_stages: int = 1,
        contrastive_weight: float = 1.0,
        reconstruction_weight: float = 100.0,
        temperature: float = 0.5,
        hidden: int = 512,
        out_channels: int = 128,
    ) -> None:
        super().__init__(network)
        encoder, decoder = network.encoder, network.decoder
        if "clean" not in tasks or set(tasks) - set(TASKS) or len(set(tasks)) < len(tasks):
            raise InputError(f"tasks: expected 'clean' and others of {', '.join(TASKS)}, each once, got {list(tasks)}")
        if not 0 <= own_stages <= len(decoder.stages):
            raise InputError(f"own_stages: expected 0 to {len(decoder.stages)}, the decoder's stages, got {own_stages}")
        self.views = views
        self.corruption = corruption
        self.shared_stages = len(decoder.stages) - own_stages
        self.weights = (contrastive_weight, reconstruction_weight)
        self.temperature = temperature
        self.pooling = AttentionPooling(encoder.channels[-1], encoder.spatial_dims)
        self.projection = ProjectionHead(encoder.channels[-1], hidden, out_channels)
        self.branches = nn.ModuleDict(
            {
                task: DecoderBranch(decoder, own_stages, 1 if task == "where" else encoder.in_channels)
                for task in tasks
                if task != "clean"
            }
        )

    def pool(self, features: Tensor) -> Tensor:
        """(N, C, *spatial) to (N, C), float32, weighted by attention."""
        pooled: Tensor = self.pooling(features)
        return pooled

    def reconstruct(self, features: list[Tensor]) -> dict[str, Tensor]:
        """The encoder's features to the output of each task, (N, channels, *spatial) in [0, 1], float32."""
        decoder = self.network.decoder
        common = decoder.run(features[-1], features, 0, self.shared_stages)
        clean = decoder.run(common, features, self.shared_stages, len(decoder.stages))
        logits = {"clean": self.network.head(clean)}
        logits |= {task: branch(common, features) for task, branch in self.branches.items()}
        return {task: torch.sigmoid(output.float()) for task, output in logits.items()}

    @staticmethod
    def targets(clean: Tensor, plain: Tensor, corrupted: Corrupted) -> dict[str, Tensor]:
        """What each task should make of corrupted views, (N, channels, *spatial) in [0, 1]."""
        return {"clean": clean, "plain": plain, "where": corrupted.where, "blacked": corrupted.blacked}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: what ``views`` takes.

        Gives ``loss``, its parts ``loss_contrast`` (NT-Xent) and ``loss_<task>`` (not weighted), ``accuracy``,
        ``entropy`` and ``embedding_std``.
        """
        views = [self.views(batch), self.views(batch)]
        clean = torch.cat([view.image for view in views])
        corrupted = self.corruption(clean)
        targets = self.targets(clean, torch.cat([view.plain for view in views]), corrupted)
        features = self.network.encoder(corrupted.image)
        pooled = self.pool(features[-1])
        first, second = self.projection(pooled).chunk(2)
        contrast = nt_xent(first, second, self.temperature, across_processes=self.training)
        errors = {task: F.mse_loss(output, targets[task]) for task, output in self.reconstruct(features).items()}
        contrastive, reconstruction = self.weights
        return {
            "loss": contrastive * shared.DIRECTIONS * contrast.loss
            + reconstruction * torch.stack(list(errors.values())).sum(),
            "loss_contrast": contrast.loss,
            **{f"loss_{task}": error for task, error in errors.items()},
            "accuracy": contrast.accuracy,
            "entropy": contrast.entropy,
            "embedding_std": embedding_std(pooled),
        }

    def pictures(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A corrupted view, then output and target of each task."""
        view = self.views(batch)
        corrupted = self.corruption(view.image)
        targets = self.targets(view.image, view.plain, corrupted)
        columns = {"corrupted": corrupted.image}
        for task, output in self.reconstruct(self.network.encoder(corrupted.image)).items():
            columns |= {f"{task}, output": output, f"{task}, target": targets[task]}
        return columns


@dataclass(frozen=True)
class Options(Group):
    """What ConRec alone has."""

    own_stages: int = option(1, "decoder stages that each reconstruction head has for itself", least=0, most=16)
    reconstruction_weight: float = option(100.0, "of each reconstruction head's loss", least=0, most=10**6)


RECIPE = Recipe(
    name="conrec_pretrain",
    description="ConRec in 2D: contrast and four reconstruction heads at once.",
    base="pretrain",
    dims=2,
    title="ConRec",
    scenario="4",
    citation="Dippel et al., Towards Fine-grained Visual Representations by Combining Contrastive Learning with Image "
    "Reconstruction and Attention-weighted Pooling, 2021; with more heads in arXiv 2207.14508",
    options=(shared.Jitter, shared.Temperature, Options),
    imports=shared.LARS_IMPORTS,
    differs={
        **shared.LARS,
        "batch_size": 16,
        "corruption": {"_target_": "segxfer3d.augment.conrec_corruption.BoxCorruption"},
        "pretext": {
            "_target_": "segxfer3d.pretexts.conrec.ConRec",
            "network": "@network_def",
            "views": "@views",
            "corruption": "@corruption",
            "own_stages": "@own_stages",
            "reconstruction_weight": "@reconstruction_weight",
            "temperature": "@temperature",
        },
    },
)
