"""Air around a body in a CT, which costs a network as much as the body does.

A window is of air where no block of 2x2x2 voxels of it is above -900 HU on average: single voxels are noise, tissue,
vessels and walls of airways are above, and so is lung but for large bullae.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from segxfer3d.data.preprocessing.protocol import Preprocessing
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.losses.activation import foreground_probabilities

LEVEL = -900.0  # HU; air is -1000, and the noise of a block stays far below 100
_UNSURE = 0.1  # highest probability of a class where a network is sure of the background; a mask begins at 0.5


@dataclass(frozen=True)
class Air:
    """What of a scaled CT is air, and what a network has to say of it.

    Attributes:
        levels: :data:`LEVEL` as each channel is scaled.
        activation: of the network's outputs.
    """

    levels: tuple[float, ...]
    activation: str = "sigmoid"

    @staticmethod
    def of_model(preprocessing: Preprocessing, activation: str) -> Air | None:
        """Of a model; None where its volumes are not all in HU, or are clipped above air."""
        scales = preprocessing.scales if isinstance(preprocessing, VolumePreprocessing) else ()
        levels = [_level(scale) for scale in scales]
        known = tuple(level for level in levels if level is not None)
        return Air(known, activation) if known and len(known) == len(levels) else None

    def fills(self, window: Tensor) -> bool:
        """Whether a window (C, X, Y, Z) shows nothing else, in any channel."""
        return all(_below(channel, level) for channel, level in zip(window, self.levels, strict=True))

    def is_background(self, logits: Tensor) -> bool:
        """Whether a network's outputs (K, X, Y, Z) of a window are sure that no voxel is of any class."""
        return bool(foreground_probabilities(logits, self.activation).max() < _UNSURE)


def _level(scale: Scale) -> float | None:
    """:data:`LEVEL` as a channel is scaled; None where that is not of HU, or where air looks like more than air."""
    low, high = scale.clip
    if scale.intensity not in ("window", "foreground") or not low < LEVEL < high:
        return None
    if scale.intensity == "window":
        return (LEVEL - low) / (high - low)
    return None if scale.mean is None or scale.sd is None else (LEVEL - scale.mean) / scale.sd


def _below(channel: Tensor, level: float) -> bool:
    """Whether the mean of no 2x2x2 voxels, or of fewer along a shorter axis, is above a level."""
    if bool(channel.max() <= level):
        return True
    if bool(channel.mean() > level):  # then some block is
        return False
    block = [min(2, side) for side in channel.shape]
    return bool(F.avg_pool3d(channel[None], block, stride=1).max() <= level)
