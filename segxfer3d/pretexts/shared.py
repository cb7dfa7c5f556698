"""What the recipes of several pretexts share: options, and training with LARS."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

INTERPOLATIONS = ("bicubic", "antialiased")


@dataclass(frozen=True)
class Jitter(Group):
    """How views are made."""

    jitter_strength: float = option(1.0, "of the color jitter of views", least=0, most=1.5)
    interpolation: str = option(
        "bicubic",
        "of crops; bicubic, as published: of the original file, without smoothing; antialiased: linear, of images "
        "reduced to twice the size of views",
        choices=INTERPOLATIONS,
    )


@dataclass(frozen=True)
class Temperature(Group):
    """How sharply embeddings are told apart."""

    temperature: float = option(0.5, "of the contrastive loss", above=0, most=1000)


@dataclass(frozen=True)
class Momentum(Group):
    """How slowly the momentum encoder follows."""

    momentum: float = option(0.996, "of the momentum encoder, at the start", least=0, most=1)


DIRECTIONS = 2  # anchors of the first view, and of the second: the means of both are added

# the self-supervised pretexts of images train with LARS, its rate proportional to the batch
LARS = {
    "optimizer_name": "lars",
    "lr": "$optimization.lars_rate(@batch_size)",
    "weight_decay": 0.0001,
    "clip_norm": 0.0,
}
LARS_IMPORTS = ("import segxfer3d.training.optimization as optimization",)
