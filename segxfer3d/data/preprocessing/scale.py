"""How the intensities of one channel of a volume are scaled, and of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from torch import Tensor

from segxfer3d.config.channels import each_channel
from segxfer3d.config.groups import WINDOW
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.preprocessing.intensities import (
    INTENSITIES,
    UNIT,
    ScaleToUnitd,
    Standardized,
    scaled_to_unit,
    standardize_,
    unit_,
)
from segxfer3d.data.preprocessing.orientation import to_ras
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import shown


@dataclass(frozen=True)
class Scale:
    """How intensities become what a network sees.

    Attributes:
        intensity: ``window`` scales [window_low, window_high] HU to [0, 1]; ``percentile`` the 0.5th to 99.5th
            percentile of the volume itself (for MR, whose intensities have no unit); both clip. ``foreground`` clips to
            [window_low, window_high], subtracts ``mean`` and divides by ``sd``: those of the training cases' foreground
            (CT); ``zscore`` does so with each volume's own mean and SD. These are nnU-Net's (Isensee et al. 2021).
        window_low, window_high: HU.
        mean, sd: of ``foreground``, HU.
        nonzero: ``zscore`` looks at voxels that are not 0 only, and leaves the others 0.

    Raises:
        InputError: one of them cannot be used.
    """

    intensity: str = "window"
    window_low: float = WINDOW[0]
    window_high: float = WINDOW[1]
    mean: float | None = None
    sd: float | None = None
    nonzero: bool = False

    def __post_init__(self) -> None:
        if self.intensity not in INTENSITIES:
            expected = f"{', '.join(INTENSITIES[:-1])} or {INTENSITIES[-1]}"
            raise InputError(f"intensity: expected {expected}, got {shown(self.intensity)}")
        if not self.window_low < self.window_high:
            raise InputError(f"window_low {self.window_low:g}: expected less than window_high {self.window_high:g}")
        if self.intensity == "foreground" and (self.mean is None or self.sd is None or not self.sd > 0):
            raise InputError(f"intensity foreground: expected a mean and an SD above 0, got {self.mean} and {self.sd}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, of which those that the rule does not use are left out but for the window, as earlier versions
        wrote them."""
        used = {"foreground": ("mean", "sd"), "zscore": ("nonzero",)}.get(self.intensity, ())
        values = asdict(self)
        for name in {"mean", "sd", "nonzero"}.difference(used):
            del values[name]
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Scale:
        """The other way round; entries of other names are passed over.

        Raises:
            KeyError: an entry is missing.
            InputError: an entry cannot be used.
        """
        more = {name: values[name] for name in ("mean", "sd", "nonzero") if name in values}
        return Scale(values["intensity"], values["window_low"], values["window_high"], **more)

    @property
    def clip(self) -> tuple[float, float]:
        """Both ends of the window."""
        return self.window_low, self.window_high

    def transform(self, key: str) -> MapTransform:
        """What scales the images of a key."""
        if self.intensity in UNIT:
            return ScaleToUnitd(key, self.clip if self.intensity == "window" else None)
        if self.intensity == "foreground":
            return Standardized(key, clip=self.clip, mean=self.mean, sd=self.sd)
        return Standardized(key, nonzero=self.nonzero)

    def turned(self, volume: Volume) -> Tensor:
        """A channel with its axes turned to right, anterior and up, and scaled: (X, Y, Z) float32; not for ``zscore``,
        whose sums depend on the order of voxels."""
        turned = to_ras(volume.array, volume.affine, self.by_voxel())
        return scaled_to_unit(turned, None) if self.intensity == "percentile" else turned

    def by_voxel(self) -> Callable[[Tensor], object] | None:
        """What :meth:`transform` does, in place, where it does it to each voxel whatever the others are."""
        low, high = self.clip
        if self.intensity == "window":
            return lambda voxels: unit_(voxels, low, high)
        if self.mean is not None and self.sd is not None:
            return partial(standardize_, mean=self.mean, sd=self.sd, clip=(low, high))
        return None

    def to_unit(self, image: Tensor) -> Tensor:
        """A scaled image in [0, 1], for eyes: what was clipped to becomes 0 and 1, of ``zscore`` the image's own 0.5th
        and 99.5th percentile."""
        if self.intensity in UNIT:
            return image
        if self.mean is None or self.sd is None:
            return scaled_to_unit(image, None)
        low, high = ((end - self.mean) / self.sd for end in self.clip)
        return scaled_to_unit(image, (low, high))


def turned_image(channels: Sequence[Volume], scales: Sequence[Scale]) -> Tensor:
    """All channels, see :meth:`Scale.turned`: (C, X, Y, Z) float32."""
    turned = [scale.turned(channel) for channel, scale in zip(channels, scales, strict=True)]
    return turned[0][None] if len(turned) == 1 else torch.stack(turned)


def scales_of(
    modalities: Sequence[str],
    *,
    intensity: str | Sequence[str] = "auto",
    window_low: float | Sequence[float] = WINDOW[0],
    window_high: float | Sequence[float] = WINDOW[1],
) -> tuple[Scale, ...]:
    """Of channels of these modalities; ``auto`` is a window of HU for "CT", percentiles for anything else.

    Args:
        modalities: one a channel.
        intensity, window_low, window_high: one for all channels, or a list of one for each.

    Raises:
        InputError: one of them cannot be used, or there are not as many as channels.
    """
    number = len(modalities)
    rules = (
        ("window" if modality == "CT" else "percentile") if rule == "auto" else rule
        for rule, modality in zip(each_channel("intensity", intensity, number), modalities, strict=True)
    )
    lows, highs = each_channel("window_low", window_low, number), each_channel("window_high", window_high, number)
    return tuple(Scale(rule, low, high) for rule, low, high in zip(rules, lows, highs, strict=True))


def refuse_other_window(
    scales: Sequence[Scale], low: float | Sequence[float], high: float | Sequence[float], expected: str
) -> None:
    """Refuse a window that somebody set where channels are scaled by none, or by another.

    Args:
        scales: of the channels.
        low, high: HU, one for all channels, or a list of one for each, of which only those of a window count.
        expected: what to do, for the message.

    Raises:
        InputError: as it says, or there are not as many as channels.
    """
    number = len(scales)
    asked = zip(each_channel("window_low", low, number), each_channel("window_high", high, number), strict=True)
    pairs = [(scale.clip, ends) for scale, ends in zip(scales, asked, strict=True) if scale.intensity == "window"]
    if not pairs:
        rules = ", ".join(dict.fromkeys(scale.intensity for scale in scales))
        raise InputError(f"window_low and window_high: intensity {rules} has no window; expected {expected}")
    for used, ends in pairs:
        if used != ends:
            of = f"{ends[0]:g} and {ends[1]:g}: intensities have the window {used[0]:g} to {used[1]:g}"
            raise InputError(f"window_low and window_high {of}; expected {expected}")


class ScaleChannelsd(MapTransform):
    """Scale each channel by a rule of its own.

    Args:
        keys: of the volumes, (C, X, Y, Z).
        scales: of the C channels.
    """

    def __init__(self, keys: Any, scales: Sequence[Scale]) -> None:
        super().__init__(keys)
        self.steps = [scale.transform("image") for scale in scales]

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Scale the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key].clone()
            for number, step in enumerate(self.steps):
                image[number : number + 1] = step({"image": result[key][number : number + 1]})["image"]
            result[key] = image
        return result


def stacked_channels(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Channels (X, Y, Z) of any types as one array (C, X, Y, Z) float32, each in the order in memory that files have,
    x next to x."""
    x, y, z = arrays[0].shape
    stacked = np.empty((len(arrays), z, y, x), np.float32).transpose(0, 3, 2, 1)
    for channel, array in zip(stacked, arrays, strict=True):
        np.copyto(channel, array, casting="unsafe")
    return stacked
