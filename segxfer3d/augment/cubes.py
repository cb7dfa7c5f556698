"""Random cubes from volumes: under the rules of Models Genesis, or anywhere.

Models Genesis (Zhou et al., Medical Image Analysis 67 (2021) 101840) draws crops of chest CT that keep away
from the volume's borders, and rejects those that hold too much tissue: chest wall and abdomen teach little
about lungs.

Only the crops that were drawn are scored, and scoring stops where a crop is too full for certain: about 0.14
ms a draw for 64x64x32 voxels. An integral volume would make a draw nearly free, but costs about 0.2 s and 90
MiB for each 512x512x300 volume in each loader worker.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray

from segxfer3d.augment.compiled import compiled
from segxfer3d.errors import InputError

TISSUE_HU = -150.0
_ROUNDING = 1e-6  # of intensities: a voxel at the threshold stays there after scaling to float32

Random = np.random.Generator | np.random.RandomState


@dataclass(frozen=True)
class CropRule:
    """Where a crop may lie and what it may hold; the defaults are those of Models Genesis.

    Attributes:
        border: voxels to keep from both borders along x, y, z.
        max_tissue: largest tissue score of a crop, see `tissue_score`.
        tissue: intensity of the volume from which a voxel is no air: -150 HU, in [0, 1] after windowing.
        draws_per_cube: a search gives up after this many draws for each cube that is wanted.
    """

    border: tuple[int, int, int] = (100, 100, 30)
    max_tissue: float = 0.15
    tissue: float = 0.425
    draws_per_cube: int = 50

    @staticmethod
    def for_window(low: float, high: float) -> CropRule:
        """The published rule, where intensities are a window of HU scaled to [0, 1].

        Raises:
            InputError: -150 HU is not inside the window, so that air and tissue cannot be told apart.
        """
        if not low < TISSUE_HU <= high:
            raise InputError(
                f"window {low:g} to {high:g} HU: the published crop rule needs {TISSUE_HU:g} HU inside; "
                "use crop_rule uniform"
            )
        return CropRule(tissue=(TISSUE_HU - low) / (high - low))

    def starts(self, shape: tuple[int, ...], size: tuple[int, ...]) -> list[tuple[int, int]] | None:
        """First and last allowed start along each axis, or None where the volume (X, Y, Z) is too short."""
        ranges = []
        for length, side, border in zip(shape, size, self.border, strict=True):
            last = length - border - side
            if last < border:
                return None
            ranges.append((border, last))
        return ranges


@compiled
def _score(
    volume: NDArray[Any], start: NDArray[Any], size: tuple[int, int, int], tissue: np.floating, bound: int
) -> int:
    """Twice the sum of 1 - k/2 over a crop, or the first partial sum above bound."""
    x0, y0, z0 = start
    total = 0
    for x in range(x0, x0 + size[0]):
        for y in range(y0, y0 + size[1]):
            row = volume[x, y, z0 : z0 + size[2]]
            following = volume[x, y, z0 + 1 : z0 + size[2] + 1]  # shorter at the volume's end: nothing follows
            count: Any = np.int32(0)
            for z in range(len(following)):
                count += np.int32(2) if row[z] >= tissue else np.int32(following[z] >= tissue)
            if len(following) < len(row) and row[-1] >= tissue:
                count += np.int32(2)
            total += count
        if total > bound:
            return total
    return total


@compiled
def _accepted(
    volume: NDArray[Any],
    starts: NDArray[Any],
    size: tuple[int, int, int],
    tissue: np.floating,
    bound: int,
    accepted: NDArray[Any],
) -> int:
    """Fill accepted with the first starts whose score is within the bound; returns how many there are."""
    count = 0
    for i in range(len(starts)):
        if count == len(accepted):
            break
        if _score(volume, starts[i], size, tissue, bound) <= bound:
            accepted[count] = i
            count += 1
    return count


def tissue_score(volume: NDArray[Any], start: tuple[int, ...], size: tuple[int, int, int], threshold: float) -> float:
    """Mean of 1 - k/2 over a crop: 0 where it is free of tissue, 1 where it is full of it.

    Of a voxel and the next two along z, k is the index (0, 1, 2) of the first that is at or above the
    threshold, and 2 where none is; voxels beyond the volume's end are none. (So the third voxel never counts:
    it gives what none gives.)
    """
    total = _score(volume, np.array(start), size, np.float32(threshold - _ROUNDING), 2 * int(np.prod(size)))
    return total / (2 * int(np.prod(size)))


def sample_starts(
    volume: NDArray[Any], size: tuple[int, int, int], rule: CropRule | None, count: int, rng: Random
) -> NDArray[np.int64]:
    """First voxels (n, 3) of random crops of a volume (X, Y, Z).

    Under a rule, n is less than `count` where `count * rule.draws_per_cube` draws do not give enough, and 0
    where the volume is too short. Without a rule every place is equally likely; along an axis where the
    volume is shorter than the crop the start is 0.
    """
    if rule is None:
        spare = np.maximum(np.array(volume.shape) - size, 0)
        return _whole(rng.random((count, 3)) * (spare + 1))
    candidates = _candidates(volume, size, rule, count, rng)
    starts: NDArray[np.int64] = candidates[_accept(volume, candidates, size, rule, count)]
    return starts


def _whole(places: NDArray[Any]) -> NDArray[np.int64]:
    """Rounded down."""
    whole: NDArray[np.int64] = places.astype(np.int64)
    return whole


def _candidates(
    volume: NDArray[Any], size: tuple[int, int, int], rule: CropRule, count: int, rng: Random
) -> NDArray[np.int64]:
    """All starts (n, 3) that a search for so many cubes may look at; none where the volume is too short."""
    ranges = rule.starts(volume.shape, size)
    if ranges is None:
        return np.empty((0, 3), dtype=np.int64)
    first, last = np.array(ranges).T
    return _whole(first + np.floor(rng.random((count * rule.draws_per_cube, 3)) * (last - first + 1)))


def _accept(
    volume: NDArray[Any], candidates: NDArray[np.int64], size: tuple[int, int, int], rule: CropRule, count: int
) -> NDArray[np.int64]:
    """Which candidates are the first `count` that hold little enough tissue."""
    accepted = np.empty(count, dtype=np.int64)
    bound = int(rule.max_tissue * 2 * np.prod(size) + _ROUNDING)
    return accepted[: _accepted(volume, candidates, size, np.float32(rule.tissue - _ROUNDING), bound, accepted)]


def sample_cubes(
    volume: NDArray[Any], size: tuple[int, int, int], rule: CropRule | None, count: int, rng: Random
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Random cubes (n, X, Y, Z) of a volume (X, Y, Z) and their first voxels (n, 3), n as for `sample_starts`; of
    several channels (C, X, Y, Z), cubes (n, C, X, Y, Z) at one place in all, where a rule looks at the first."""
    channels = volume if volume.ndim == 4 else volume[None]
    starts = sample_starts(channels[0], size, rule, count, rng)
    cubes = np.zeros((len(starts), len(channels), *size), dtype=volume.dtype)
    for cube, start in zip(cubes, starts, strict=True):
        for part, channel in zip(cube, channels, strict=True):
            _crop(channel, start, part)
    return cubes if volume.ndim == 4 else cubes[:, 0], starts


def _crop(volume: NDArray[Any], start: NDArray[np.int64], cube: NDArray[Any]) -> None:
    """Copy a crop into a cube of zeros, into its middle where the volume is smaller than the cube."""
    source, target = [], []
    for s, side, length in zip(start, cube.shape, volume.shape, strict=True):
        offset = max(0, (side - length) // 2)
        source.append(slice(s, min(s + side, length)))
        target.append(slice(offset, offset + min(side, length)))
    cube[tuple(target)] = volume[tuple(source)]


class RandCubed(Randomizable, MapTransform):
    """A random cube of a volume in a dict, as a plain contiguous float32 tensor.

    A volume that is too short for the rule is cropped anywhere; one that is smaller than the cube lies in the
    middle of zeros. Where `rule.draws_per_cube` draws give no crop that the rule accepts, the one with the
    least tissue among them is taken, so that no batch is ever short. (Models Genesis extracts its cubes
    beforehand and leaves such volumes out; so does `segxfer3d data cubes`.)

    Args:
        size: voxels along x, y, z.
        rule: which crops are accepted; None for any.
        key: of the volume (C, X, Y, Z), which the cube (C, *size) replaces; the rule looks at the first channel.

    Raises:
        InputError: in the call: the volume does not have channels and three dimensions.

    Example:
        >>> RandCubed((8, 8, 4))({"image": torch.zeros(1, 20, 20, 20)})["image"].shape
        torch.Size([1, 8, 8, 4])
    """

    def __init__(self, size: tuple[int, int, int], rule: CropRule | None = None, key: Hashable = "image") -> None:
        MapTransform.__init__(self, [key])
        self.size = (int(size[0]), int(size[1]), int(size[2]))
        self.rule = rule
        self.key = key
        if rule is not None:  # compile, or load from Numba's cache, before loader workers are forked
            tiny = np.zeros((2, 2, 2), dtype=np.float32)
            sample_starts(tiny, (1, 1, 1), CropRule(border=(0, 0, 0)), 1, np.random.default_rng(0))

    def randomize(self, data: NDArray[Any]) -> NDArray[np.int64]:
        """The first voxel (3,) of the next cube of a volume (X, Y, Z)."""
        rule = self.rule
        start: NDArray[np.int64]
        if rule is None or rule.starts(data.shape, self.size) is None:
            start = sample_starts(data, self.size, None, 1, self.R)[0]
            return start
        candidates = _candidates(data, self.size, rule, 1, self.R)
        accepted = _accept(data, candidates, self.size, rule, 1)
        if len(accepted):
            start = candidates[accepted[0]]
        else:
            scores = [tissue_score(data, candidate, self.size, rule.tissue) for candidate in candidates]
            start = candidates[np.argmin(scores)]
        return start

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        volume = data[self.key]
        volume = volume.numpy() if isinstance(volume, torch.Tensor) else np.asarray(volume)
        if volume.ndim != 4 or not len(volume):
            raise InputError(f"{self.key}: a volume of shape {volume.shape}; expected (channels, x, y, z)")
        cube = np.zeros((len(volume), *self.size), dtype=np.float32)
        start = self.randomize(volume[0])
        for channel, target in zip(volume, cube, strict=True):
            _crop(channel, start, target)
        return {**data, self.key: torch.from_numpy(cube)}
