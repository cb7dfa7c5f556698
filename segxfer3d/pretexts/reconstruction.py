"""Reconstruction: the network sees a corrupted volume and gives back the clean one (Zhou et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.networks import SegmentationNetwork
from segxfer3d.pretexts.base import Pretext


class Reconstruction(Pretext):
    """Mean squared error between the sigmoid of the network's output and the clean target.

    Args:
        network: one output channel for each image channel.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``batch``: ``image`` (N, C, *spatial), corrupted, and ``target``, clean, both in [0, 1]."""
        output = torch.sigmoid(self.network(batch["image"]).float())
        return {"loss": F.mse_loss(output, batch["target"])}
