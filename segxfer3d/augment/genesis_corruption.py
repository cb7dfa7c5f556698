"""The Models Genesis corruption of cubes: flips, local shuffling, non-linear intensities, in- and out-painting.

Zhou et al., "Models Genesis", MICCAI 2019 and Medical Image Analysis 67 (2021) 101840. What they leave open
and what is done here:

- A window of the local shuffling starts anywhere where it lies inside the cube, each place equally likely.
- Bounds of sides (a tenth, a sixth, a third, 3/7 and 4/7 of the cube's side) are rounded down; whole numbers
  between two bounds are equally likely, both bounds included. Sides are drawn for each axis by itself. Where
  a cube is too small for 3 voxels of border around a box, the box gets what there is on both sides.
- The Bezier curve is 1000 points at even steps of its parameter, joined by straight lines.
- Sorting the x values alone turns the curve's y values around, for they are taken in the curve's own order,
  from its end at (1, 1). With control points in the unit square neither coordinate ever turns back, so that
  such a "non-monotone" map runs from 1 down to 0: the paper's figures show increasing and decreasing maps,
  too.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_data_type
from numpy.typing import ArrayLike

from segxfer3d.augment.kernels import genesis_corruption as kernels
from segxfer3d.augment.kernels import genesis_draws as draws
from segxfer3d.augment.kernels.genesis_draws import IN_PAINTING, OUT_PAINTING
from segxfer3d.augment.kernels.splitmix64 import stream
from segxfer3d.errors import InputError

__all__ = [
    "IN_PAINTING",
    "OUT_PAINTING",
    "Corruption",
    "Draw",
    "GenesisCorruptiond",
    "apply",
    "corrupt",
    "corrupt_channels",
    "draw",
    "noise",
]


@dataclass(frozen=True)
class Corruption:
    """How often each part of the corruption happens; the defaults are those of Models Genesis.

    Attributes:
        flip: chance of each of up to three flips, which stop at the first that does not happen. A third of the flips
            goes along x, a third along y, a third does nothing.
        shuffle: chance that local shuffling is applied at all.
        intensity: chance of the Bezier map; half of the maps run upward, half downward.
        paint: chance that the cube is painted.
        in_paint: chance that a painted cube is in-painted; else it is out-painted.
        box: chance of each of the up to five boxes of painting, which stop at the first that does not happen. The first
            box of out-painting is certain.
        windows: windows of the local shuffling in a cube, whatever its size.

    Raises:
        InputError: a chance is not between 0 and 1, or windows is negative.
    """

    flip: float = 0.4
    shuffle: float = 0.5
    intensity: float = 0.9
    paint: float = 0.9
    in_paint: float = 0.2
    box: float = 0.95
    windows: int = 10_000

    def __post_init__(self) -> None:
        for name in ("flip", "shuffle", "intensity", "paint", "in_paint", "box"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Corruption: {name} is {getattr(self, name)}; expected 0 to 1.")
        if self.windows < 0:
            raise InputError(f"Corruption: windows is {self.windows}; expected at least 0.")

    def _chances(self) -> np.ndarray:
        chances = (self.flip, self.shuffle, self.intensity, self.paint, self.in_paint, self.box)
        return np.array(chances, dtype=np.float64)


@dataclass(frozen=True)
class Draw:
    """What was drawn for one cube: with it the corruption can be replayed, and its parts tested.

    Attributes:
        seed: what everything was drawn from; the order of voxels in windows and the noise still come from it.
        noise_seed: what the noise comes from instead, of a channel after the first; None: from ``seed``.
        flips: (n,) of 0 (along x), 1 (along y), 2 (nothing), n from 0 to 3.
        windows: (n, 6) of start x, y, z and size x, y, z in voxels; none where there is no shuffling.
        controls: (2, 2) control points (x, y) of the Bezier curve; (0, 2) where intensities stay.
        increasing: whether the map of intensities runs upward.
        painting: 0 (none), IN_PAINTING or OUT_PAINTING.
        boxes: (n, 6) as windows, n from 0 to 5: what is filled (in-painting) or kept (out-painting).
    """

    seed: int
    flips: np.ndarray
    windows: np.ndarray
    controls: np.ndarray
    increasing: bool
    painting: int
    boxes: np.ndarray
    noise_seed: int | None = None


_DEFAULT = Corruption()


def draw(seed: int, shape: tuple[int, int, int], corruption: Corruption = _DEFAULT) -> Draw:
    """Draw the parameters for one cube of shape (X, Y, Z): the same that `corrupt` draws from this seed."""
    flips = np.empty(3, dtype=np.int8)
    windows = np.empty((corruption.windows, 6), dtype=np.int32)
    controls = np.empty((2, 2))
    boxes = np.empty((5, 6), dtype=np.int32)
    shape = (int(shape[0]), int(shape[1]), int(shape[2]))
    n_flips, shuffled, mapped, increasing, painting, n_boxes = draws.draw_all(
        np.uint64(seed), shape, corruption._chances(), flips, windows, controls, boxes
    )
    return Draw(
        seed=seed,
        flips=flips[:n_flips],
        windows=windows if shuffled else windows[:0],
        controls=controls if mapped else controls[:0],
        increasing=increasing,
        painting=painting,
        boxes=boxes[:n_boxes],
    )


def apply(cube: np.ndarray, drawn: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt one cube (X, Y, Z) of intensities in [0, 1] with parameters drawn for its shape.

    Returns:
        The corrupted and the clean cube, both flipped, as new float32 arrays.

    Raises:
        InputError: the cube is not three-dimensional or not in [0, 1], or a window or box leaves it.
    """
    cube = _checked(np.asarray(cube)[None])[0]
    for name, places in (("window", drawn.windows), ("box", drawn.boxes)):
        if (places[:, :3] < 0).any() or (places[:, 3:] < 1).any():
            raise InputError(f"Corruption: a {name} starts below 0 or is empty.")
        if (places[:, :3] + places[:, 3:] > cube.shape).any():
            raise InputError(f"Corruption: a {name} was drawn for a larger cube than {cube.shape}.")
    corrupted, target = np.empty_like(cube), np.empty_like(cube)
    _write(cube, drawn, corrupted, target)
    return corrupted, target


def _write(cube: np.ndarray, drawn: Draw, corrupted: np.ndarray, target: np.ndarray) -> None:
    """Corrupt a checked cube into the two given ones."""
    kernels.apply_all(
        cube,
        np.uint64(drawn.seed),
        np.uint64(drawn.seed if drawn.noise_seed is None else drawn.noise_seed),
        drawn.flips,
        drawn.windows,
        drawn.controls,
        drawn.increasing,
        drawn.painting,
        drawn.boxes,
        corrupted,
        target,
    )


def corrupt(cubes: np.ndarray, seeds: ArrayLike, corruption: Corruption = _DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt a batch of cubes; the same seeds give the same result bit for bit on every machine.

    Args:
        cubes: (B, X, Y, Z), intensities in [0, 1]; never changed. Any size works, a side of 1 too.
        seeds: (B,) whole numbers from 0 to 2**64 - 1, one a cube.
        corruption: how often each part happens.

    Returns:
        The corrupted and the clean cubes, (B, X, Y, Z) float32 each, as new arrays. A cube's flips turn both
        around; nothing else changes the clean one.

    Raises:
        InputError: shape or intensities are not as described, or there is not one seed a cube.

    Example:
        >>> cubes = np.full((2, 16, 16, 8), 0.5, dtype=np.float32)
        >>> corrupted, target = corrupt(cubes, seeds=[0, 1])
        >>> corrupted.shape, bool((target == cubes).all())
        ((2, 16, 16, 8), True)
    """
    cubes = _checked(np.asarray(cubes))
    try:
        keys = np.array(seeds, dtype=np.uint64)
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"Corruption: seeds are whole numbers from 0 to 2**64 - 1 ({error}).") from None
    if keys.shape != (len(cubes),):
        raise InputError(f"Corruption: seeds of shape {keys.shape} for {len(cubes)} cubes; expected one each.")
    corrupted, targets = np.empty_like(cubes), np.empty_like(cubes)
    for i, seed in enumerate(keys):
        _write(cubes[i], draw(int(seed), cubes.shape[1:], corruption), corrupted[i], targets[i])
    return corrupted, targets


def corrupt_channels(cube: np.ndarray, seed: int, corruption: Corruption = _DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    """Corrupt the channels of one cube (C, X, Y, Z) alike in place: the same flips, the same windows with their voxels
    in the same order, the same boxes. Each channel has a map of intensities and noise of its own, for their scales have
    nothing to do with each other; the first has those that :func:`corrupt` draws. (The papers have one channel.)

    Returns:
        the corrupted and the clean cube, both flipped, as new float32 arrays.

    Raises:
        InputError: as :func:`corrupt`.
    """
    cube = _checked(cube)
    corrupted, targets = np.empty_like(cube), np.empty_like(cube)
    first = draw(seed, cube.shape[1:], corruption)
    maps_only = replace(corruption, windows=0)
    for number, channel in enumerate(cube):
        drawn = first
        if number:
            own = int(stream(np.uint64(seed), draws.NOISE + number))
            its = draw(own, cube.shape[1:], maps_only)
            drawn = replace(first, controls=its.controls, increasing=its.increasing, noise_seed=own)
        _write(channel, drawn, corrupted[number], targets[number])
    return corrupted, targets


def noise(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """The uniform noise (X, Y, Z) that painting takes its voxels from, for a cube drawn from this seed."""
    output = np.empty(shape, dtype=np.float32)
    boxes = np.array([[0, 0, 0, *shape]], dtype=np.int32)
    key = np.uint64(stream(np.uint64(seed), draws.NOISE))
    kernels.fill_boxes(output, boxes, key)
    return output


def _checked(cubes: np.ndarray) -> np.ndarray:
    """Cubes (B, X, Y, Z) as contiguous float32, or an error."""
    if cubes.ndim != 4 or 0 in cubes.shape:
        raise InputError(f"Corruption: got cubes of shape {cubes.shape}; expected (batch, x, y, z).")
    cubes = np.ascontiguousarray(cubes, dtype=np.float32)
    low, high = float(cubes.min()), float(cubes.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # NaN fails too
        raise InputError(f"Corruption: intensities go from {low:g} to {high:g}; expected 0 to 1.")
    return cubes


class GenesisCorruptiond(Randomizable, MapTransform):
    """Corrupt a cube of a dict and keep the clean one beside it.

    The constructor corrupts a tiny cube once, so that the kernels are compiled, or loaded from Numba's cache,
    before loader workers are forked.

    Args:
        key: where the cube is, (C, X, Y, Z), intensities in [0, 1]; replaced by the corrupted cube.
        target_key: where the clean cube is put, flipped like the corrupted one.
        corruption: how often each part happens.

    Both results are plain contiguous float32 tensors (C, X, Y, Z); see :func:`corrupt_channels`.

    Raises:
        InputError: in the call: the cube does not have channels and three dimensions, or leaves [0, 1].
    """

    def __init__(self, key: str = "image", target_key: str = "target", corruption: Corruption = _DEFAULT) -> None:
        MapTransform.__init__(self, [key])
        self.key = key
        self.target_key = target_key
        self.corruption = corruption
        corrupt(np.zeros((1, 2, 2, 2), dtype=np.float32), [0], Corruption(windows=1))

    def randomize(self, data: Any = None) -> int:
        """A fresh seed for one cube, from the transform's own random state."""
        return int(self.R.randint(0, 2**63, dtype=np.int64))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        cube = convert_data_type(data[self.key], np.ndarray)[0]
        if cube.ndim != 4:
            raise InputError(f"Corruption: got a cube of shape {cube.shape}; expected (channels, x, y, z).")
        corrupted, target = corrupt_channels(cube, self.randomize(), self.corruption)
        return {**data, self.key: torch.from_numpy(corrupted), self.target_key: torch.from_numpy(target)}
