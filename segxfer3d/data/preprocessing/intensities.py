"""How intensities become what a network sees: scaled to [0, 1], or less a mean and over an SD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from monai.transforms import MapTransform
from torch import Tensor

PERCENTILES = (0.5, 99.5)
UNIT = ("window", "percentile")  # those that scale to [0, 1]
INTENSITIES = (*UNIT, "foreground", "zscore")
_LEAST_SD = 1e-8  # as nnU-Net's: a constant volume becomes 0


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
            result[key] = scaled_to_unit(result[key], self.window)
        return result


class Standardized(MapTransform):
    """Clip intensities, then subtract a mean and divide by an SD, which are those of each volume itself if not given.

    The rules of nnU-Net (Isensee et al. 2021), which finds the nonzero region with holes filled; here it is the voxels
    that are not 0.

    Args:
        keys: of the volumes.
        clip: (low, high), or None.
        mean: to subtract, or None for the volume's own.
        sd: to divide by, or None for the volume's own.
        nonzero: look at voxels that are not 0 only, and leave the others 0.
    """

    def __init__(
        self,
        keys: Any,
        *,
        clip: tuple[float, float] | None = None,
        mean: float | None = None,
        sd: float | None = None,
        nonzero: bool = False,
    ) -> None:
        super().__init__(keys)
        self.clip, self.mean, self.sd, self.nonzero = clip, mean, sd, nonzero

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Standardize the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            outside = image.as_tensor() == 0 if self.nonzero else None
            values = np.asarray(image)
            values = values if outside is None else values[~outside.numpy()]
            mean, sd = self._moments(values)
            image = standardize_(image.clone(), mean=mean, sd=sd, clip=self.clip)
            result[key] = image if outside is None else image.masked_fill_(outside, 0)
        return result

    def _moments(self, values: Any) -> tuple[float, float]:
        if not values.size:
            return 0.0, 1.0
        mean = float(values.mean(dtype=np.float64)) if self.mean is None else self.mean
        sd = float(np.square(values - np.float32(mean)).mean(dtype=np.float64)) ** 0.5 if self.sd is None else self.sd
        return mean, sd


def scaled_to_unit(image: Tensor, window: tuple[float, float] | None) -> Tensor:
    """An image with ``window``, or its own percentiles, as 0 and 1."""
    low, high = window or np.percentile(np.asarray(image), PERCENTILES).tolist()
    # one copy of a large volume instead of three
    return unit_(image.clone(), low, high)


def unit_(image: Tensor, low: float, high: float) -> Tensor:
    """In place: ``low`` becomes 0 and ``high`` 1, and what lies outside is clipped."""
    return image.sub_(low).div_(max(high - low, 1e-6)).clamp_(0, 1)


def standardize_(image: Tensor, *, mean: float, sd: float, clip: tuple[float, float] | None = None) -> Tensor:
    """In place: clip, subtract the mean and divide by the SD."""
    if clip:
        image.clamp_(*clip)
    return image.sub_(mean).div_(max(sd, _LEAST_SD))
