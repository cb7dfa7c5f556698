"""Preprocessing: orientation, spacing and intensity, the same for every job and saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, MapTransform, Orientationd, Spacingd

from segxfer3d.data.io.volumes import Volume, VolumeReader, grid_difference
from segxfer3d.errors import InputError

ORIENTATION = "RAS"
INTENSITIES = ("window", "percentile")
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

    Raises:
        InputError: one of them cannot be used.
    """

    spacing: tuple[float, float, float] | None = None
    intensity: str = "window"
    window_low: float = -1000.0
    window_high: float = 1000.0

    def __post_init__(self) -> None:
        if self.spacing is not None and (len(self.spacing) != 3 or not all(0 < s < np.inf for s in self.spacing)):
            raise InputError(f"spacing: expected three numbers above 0 (millimeters), got {list(self.spacing)}")
        if self.intensity not in INTENSITIES:
            raise InputError(f"intensity: expected {' or '.join(INTENSITIES)}, got {self.intensity!r}")
        if not self.window_low < self.window_high:
            raise InputError(f"window_low {self.window_low:g}: expected less than window_high {self.window_high:g}")

    @staticmethod
    def for_modality(modality: str, spacing: tuple[float, float, float] | None = None) -> Preprocessing:
        """The usual one: HU window for "CT", percentiles for anything else."""
        return Preprocessing(spacing, "window" if modality == "CT" else "percentile")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        values = asdict(self)
        values["spacing"] = list(self.spacing) if self.spacing else None
        return values | {"orientation": ORIENTATION}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preprocessing:
        """The other way round.

        Raises:
            InputError: an entry is missing or cannot be used, or another orientation than this version knows.
        """
        if values.get("orientation") != ORIENTATION:
            raise InputError(f"preprocessing: expected orientation {ORIENTATION}, got {values.get('orientation')!r}")
        try:
            spacing = tuple(values["spacing"]) if values["spacing"] else None
            return Preprocessing(spacing, values["intensity"], values["window_low"], values["window_high"])
        except KeyError as error:
            raise InputError(f"preprocessing: the entry {error} is missing") from error

    def native_transform(self, key: str) -> Compose:
        """Load a file on its own grid, unchanged: (1, X, Y, Z) float32."""
        return Compose(self._load([key]))

    def image_transform(self, key: str = "image") -> Compose:
        """Load an image for the network: (1, X, Y, Z) float32 in [0, 1]."""
        return Compose([*self._load([key]), *self._grid([key], ["bilinear"]), self._intensity(key)])

    def training_transform(self) -> Compose:
        """Load an image as :meth:`image_transform` does, and its label (1, X, Y, Z) float32 on the same grid."""
        keys = ["image", "label"]
        grid = self._grid(keys, ["bilinear", "nearest"])
        return Compose([*self._load(keys), ShareGridd("label", "image"), *grid, self._intensity("image")])

    def one_hot(self, classes: Iterable[int], key: str = "label") -> OneHotd:
        """Label values to one channel for each foreground class, in the order of their values."""
        return OneHotd(key, classes)

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

    def _intensity(self, key: str) -> ScaleToUnitd:
        return ScaleToUnitd(key, (self.window_low, self.window_high) if self.intensity == "window" else None)


class ScaleToUnitd(MapTransform):
    """Scale intensities to [0, 1] and clip.

    Args:
        keys: of the volumes.
        window: (low, high) that become 0 and 1; None for the volume's own 0.5th and 99.5th percentile, in which case a
            constant volume becomes 0.
    """

    def __init__(self, keys: Any, window: tuple[float, float] | None) -> None:
        super().__init__(keys)
        self.window = window

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Scale the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            low, high = self.window or np.percentile(np.asarray(result[key]), PERCENTILES).tolist()
            # in place after the first step: one copy of a large volume instead of three
            result[key] = (result[key] - low).div_(max(high - low, 1e-6)).clamp_(0, 1)
        return result


class ShareGridd(MapTransform):
    """Give labels the affine of their image, so that rounding in a header cannot lead to two grids after resampling.

    Args:
        keys: of the labels.
        image_key: of the image.
    """

    def __init__(self, keys: Any, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Set the affine of the keys.

        Raises:
            InputError: a label is not on its image's grid, see :func:`~segxfer3d.data.io.volumes.grid_difference`.
        """
        result = dict(data)
        image = result[self.image_key]
        for key in self.key_iterator(result):
            difference = grid_difference(_volume(image), _volume(result[key]))
            if difference:
                raise InputError(f"{result[key].meta['filename_or_obj']}: {difference}")
            result[key].affine = image.affine.clone()
        return result


class OneHotd(MapTransform):
    """(1, X, Y, Z) label values to (K, X, Y, Z) float32, one channel for each of ``values`` in rising order."""

    def __init__(self, keys: Any, values: Iterable[int]) -> None:
        super().__init__(keys)
        self.values = sorted(values)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Expand the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            channels = torch.cat([label.as_tensor() == value for value in self.values]).float()
            result[key] = MetaTensor(channels, meta=label.meta, applied_operations=label.applied_operations)
        return result


def _volume(image: MetaTensor) -> Volume:
    return Volume(image[0].numpy(), image.affine.numpy())
