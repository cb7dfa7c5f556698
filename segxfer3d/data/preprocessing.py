"""Preprocessing: orientation, spacing and intensity, the same for every job and saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    MapTransform,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

from segxfer3d.data.readers import VolumeReader
from segxfer3d.errors import InputError

ORIENTATION = "RAS"
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a volume before the network sees it.

    Attributes:
        spacing: millimeters to resample to, or None for the native grid.
        intensity: ``window`` scales [window_low, window_high] HU to [0, 1]; ``percentile`` the 0.5th to 99.5th
            percentile of the volume itself (for MR, whose intensities have no unit). Both clip.
        window_low: HU.
        window_high: HU.
    """

    spacing: tuple[float, float, float] | None = None
    intensity: str = "window"
    window_low: float = -1000.0
    window_high: float = 1000.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        values = asdict(self)
        values["spacing"] = list(self.spacing) if self.spacing else None
        return values | {"orientation": ORIENTATION}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preprocessing:
        """The other way round.

        Raises:
            InputError: another orientation than this version knows.
        """
        if values.get("orientation") != ORIENTATION:
            raise InputError(f"preprocessing: orientation {values.get('orientation')!r}, expected {ORIENTATION}")
        spacing = values["spacing"]
        return Preprocessing(
            tuple(spacing) if spacing else None,  # type: ignore[arg-type]
            values["intensity"],
            values["window_low"],
            values["window_high"],
        )

    def native_transform(self, key: str) -> Compose:
        """Load a file on its own grid, unchanged: (1, X, Y, Z)."""
        return Compose(self._load([key]))

    def image_transform(self, key: str = "image") -> Compose:
        """Load an image for the network: (1, X, Y, Z) float32 in [0, 1]."""
        steps = [*self._load([key]), *self._grid([key], ["bilinear"]), *self._intensity(key)]
        return Compose(steps)

    def training_transform(self) -> Compose:
        """Load an image as :meth:`image_transform` does, and its label on the same grid."""
        keys = ["image", "label"]
        return Compose([*self._load(keys), *self._grid(keys, ["bilinear", "nearest"]), *self._intensity("image")])

    def one_hot(self, classes: Mapping[int, str], key: str = "label") -> OneHotd:
        """Label values to one channel for each foreground class."""
        return OneHotd(key, list(classes))

    def _load(self, keys: list[str]) -> list[Any]:
        # float32 at once: a 512x512x300 CT in float64 would take 630 MB
        return [
            LoadImaged(keys, reader=VolumeReader, dtype=np.float32),
            EnsureChannelFirstd(keys, channel_dim="no_channel"),
        ]

    def _grid(self, keys: list[str], modes: list[str]) -> list[Any]:
        steps: list[Any] = [Orientationd(keys, axcodes=ORIENTATION, labels=None)]
        if self.spacing:
            steps.append(Spacingd(keys, pixdim=self.spacing, mode=modes, dtype=np.float32))
        return steps

    def _intensity(self, key: str) -> list[Any]:
        if self.intensity == "window":
            return [ScaleIntensityRanged(key, self.window_low, self.window_high, 0.0, 1.0, clip=True)]
        return [ScalePercentilesd(key)]


class ScalePercentilesd(MapTransform):
    """Scale a volume's own 0.5th to 99.5th percentile to [0, 1], and clip; a constant volume becomes 0."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Scale the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            low, high = np.percentile(np.asarray(result[key]), PERCENTILES)
            result[key] = ((result[key] - low) / max(high - low, 1e-6)).clamp(0, 1)
        return result


class OneHotd(MapTransform):
    """(1, X, Y, Z) label values to (K, X, Y, Z) float32, one channel for each of ``values``."""

    def __init__(self, keys: Any, values: Sequence[int]) -> None:
        super().__init__(keys)
        self.values = list(values)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Expand the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            values = torch.tensor(self.values, dtype=torch.float32).view(-1, 1, 1, 1)
            channels = (label.as_tensor().round() == values).float()
            result[key] = MetaTensor(channels, meta=label.meta, applied_operations=label.applied_operations)
        return result
