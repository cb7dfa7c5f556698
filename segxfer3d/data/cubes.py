"""Random cubes from volumes: under the rules of Models Genesis, or anywhere.

Models Genesis (Zhou et al. 2021) draws crops that keep away from the volume's borders, and rejects those that hold
too much tissue: chest wall and abdomen teach little about lungs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from numpy.typing import NDArray
from torch import Tensor

LOOK_AHEAD = 2  # slices beyond a crop that its tissue score looks at


@dataclass(frozen=True)
class CropRule:
    """Where a crop may lie.

    Attributes:
        border: voxels to keep from the borders along x, y, z.
        max_tissue: largest mean tissue score of a crop, see :func:`tissue_score`.
        tissue: intensity, in [0, 1] after windowing, from which a voxel is no air; -150 HU in the published rules.
        draws_per_cube: draws after which a search gives up, for each cube wanted.
    """

    border: tuple[int, int, int] = (100, 100, 30)
    max_tissue: float = 0.15
    tissue: float = 0.425
    draws_per_cube: int = 50

    @staticmethod
    def for_window(low: float, high: float) -> CropRule:
        """The published rule, where intensities are a window of HU scaled to [0, 1]."""
        return CropRule(tissue=(-150.0 - low) / (high - low))

    def starts(self, shape: tuple[int, ...], size: tuple[int, ...]) -> list[tuple[int, int]] | None:
        """First and last allowed start along each axis, or None where the volume is too short."""
        ranges = []
        for axis, (length, side, border) in enumerate(zip(shape, size, self.border, strict=True)):
            last = length - border - side - (LOOK_AHEAD if axis == 2 else 0)
            if last < border:
                return None
            ranges.append((border, last))
        return ranges


def tissue_score(slab: NDArray[Any], threshold: float) -> float:
    """Mean over a crop of 1 - k/2.

    k is the index, 0 to 2, of the first of a voxel and its next two slices that reaches ``threshold``, and 2 where
    none does.

    Args:
        slab: (X, Y, Z + 2): the crop and the two slices after it.
        threshold: intensity that counts as tissue.
    """
    tissue = slab >= threshold
    first = tissue[..., :-2]
    second = tissue[..., 1:-1] & ~first
    return float(first.mean() + 0.5 * second.mean())


def draw_start(
    volume: NDArray[Any], size: tuple[int, ...], rule: CropRule, rng: np.random.Generator | np.random.RandomState
) -> tuple[int, ...] | None:
    """One random start under ``rule``, or None where that draw is rejected or the volume is too short."""
    ranges = rule.starts(volume.shape, size)
    if ranges is None:
        return None
    start = tuple(int(low + rng.random() * (last - low + 1)) for low, last in ranges)
    box = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    slab = volume[(*box[:2], slice(start[2], start[2] + size[2] + LOOK_AHEAD))]
    return start if tissue_score(slab, rule.tissue) <= rule.max_tissue else None


def sample_cubes(
    volume: NDArray[Any], size: tuple[int, int, int], rule: CropRule, count: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Starts of up to ``count`` cubes of one volume; fewer where ``rule.draws_per_cube * count`` draws do not do."""
    if rule.starts(volume.shape, size) is None:
        return []
    found: list[tuple[int, ...]] = []
    for _ in range(rule.draws_per_cube * count):
        start = draw_start(volume, size, rule, rng)
        if start is not None:
            found.append(start)
            if len(found) == count:
                break
    return found


class RandCubed(RandomizableTransform):
    """A random cube of a volume, as a plain contiguous tensor.

    Args:
        size: voxels along x, y, z.
        rule: the rule for volumes that are large enough for it, or None. A volume that is too short for the rule is
            cropped anywhere; where it is smaller than the cube it is padded with 0 around it. After
            ``rule.draws_per_cube`` rejected draws the last one is taken, so that a batch is never short.
        key: of the volume (1, X, Y, Z) in the dictionary.
    """

    def __init__(self, size: tuple[int, int, int], rule: CropRule | None = None, key: Hashable = "image") -> None:
        super().__init__()
        self.size = tuple(size)
        self.rule = rule
        self.key = key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[str, Tensor]:
        """``{"image": (1, *size) float32}``."""
        volume = np.asarray(data[self.key])[0]
        start = self._start(volume)
        cube = np.zeros((1, *self.size), np.float32)
        source, target = [], []
        for s, side, length in zip(start, self.size, volume.shape, strict=True):
            offset = max(0, (side - length) // 2)
            source.append(slice(s, min(s + side, length)))
            target.append(slice(offset, offset + min(side, length)))
        cube[(0, *target)] = volume[tuple(source)]
        return {"image": torch.from_numpy(cube)}

    def _start(self, volume: NDArray[Any]) -> tuple[int, ...]:
        if self.rule is not None and self.rule.starts(volume.shape, self.size) is not None:
            for _ in range(self.rule.draws_per_cube):
                start = draw_start(volume, self.size, self.rule, self.R)
                if start is not None:
                    return start
        spare = [max(0, length - side) for length, side in zip(volume.shape, self.size, strict=True)]
        return tuple(int(self.R.randint(n + 1)) for n in spare)
