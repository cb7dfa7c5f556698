"""What is drawn for one training patch, and how: parameters only, so that a patch can be tested and made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, radians, sin

import numpy as np

from segxfer3d.augment.augmentation import Augmentation

CONTROLS = 7  # control points of the elastic field along an axis: four cells of a cubic B-spline
THIN = 3  # an axis this many times shorter than the longest is not rotated into
LONG = 1.5  # images with such a ratio of sides are rotated a little only
VOLUME_DEGREES, IMAGE_DEGREES, LONG_IMAGE_DEGREES = 30.0, 180.0, 15.0


@dataclass(frozen=True, kw_only=True)
class PatchDraw:
    """What happens to a patch, axes x, y, z (an image's x has length 1).

    Attributes:
        start: (3,) first voxel of the patch in the volume, before it is turned; below 0 where the volume is smaller.
        mirrored: (3,) bool: turned around along the axis.
        matrix: (3, 3) from steps in the patch to steps in the volume, without mirroring; None where there is neither
            rotation nor scaling.
        field: (CONTROLS, CONTROLS, 3, CONTROLS) float32 of displacements in voxels, or None.
        noise: standard deviation in those of the channel, 0 for none.
        seed: of the noise.
        blur: (C,) sigma in voxels, 0 for none.
        brightness: (C,) factors, 1 for none.
        contrast: (C,) factors, 1 for none.
        low_resolution: (C, 3) voxels that seem to be left along each axis.
        gamma_inverted, gamma: (C,) exponents, 1 for none.
    """

    start: np.ndarray
    mirrored: np.ndarray
    matrix: np.ndarray | None
    field: np.ndarray | None
    noise: float
    seed: int
    blur: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    low_resolution: np.ndarray
    gamma_inverted: np.ndarray
    gamma: np.ndarray


@dataclass(frozen=True)
class Planes:
    """Which axes of a patch may be turned into which others, and how far.

    Attributes:
        free: (3,) bool: axes that rotation, scaling and bending may touch.
        degrees: the largest angle.
        first: the first axis that the patch has: 1 for an image.
    """

    free: tuple[bool, bool, bool]
    degrees: float
    first: int = 0

    @staticmethod
    def of(size: Sequence[int], degrees: float | None) -> Planes:
        """Those of a patch of two or three axes, see :class:`~segxfer3d.augment.augmentation.Augmentation`."""
        longest = max(size)
        free = [side * THIN >= longest for side in size]
        if len(size) == 2 or sum(free) == 2:
            sides = size if len(size) == 2 else [side for side, is_free in zip(size, free, strict=True) if is_free]
            long = max(sides) > LONG * min(sides) and len(size) == 2
            usual = LONG_IMAGE_DEGREES if long else IMAGE_DEGREES
        else:
            usual = VOLUME_DEGREES
        if len(size) == 2:
            free = [False, True, True]
        return Planes((free[0], free[1], free[2]), usual if degrees is None else degrees, 3 - len(size))


def three_lengths(size: Sequence[int]) -> tuple[int, int, int]:
    """An image is a volume whose first axis has length 1."""
    x, y, z = (1, *size)[-3:]
    return x, y, z


def rotation(angles: Sequence[float]) -> np.ndarray:
    """The matrix of rotations about x, then y, then z, by angles in radians: ``Rz @ Ry @ Rx``."""
    (a, b, c), (d, e, f) = (tuple(map(cos, angles)), tuple(map(sin, angles)))
    return np.array(
        [
            [b * c, d * e * c - a * f, a * e * c + d * f],
            [b * f, d * e * f + a * c, a * e * f - d * c],
            [-e, d * b, a * b],
        ]
    )


@cache
def spline_weights(size: int) -> np.ndarray:
    """Weights (size, CONTROLS) of the control points of ``PatchDraw.field`` at each voxel of a side: a uniform cubic
    B-spline, whose first cell begins at the first voxel's center and whose last one ends at the last voxel's."""
    place = (CONTROLS - 3) * np.arange(size)[:, None] / max(size - 1, 1)
    distance = abs(place - np.arange(-1, CONTROLS - 1))
    weights = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6)
    return weights.astype(np.float32)


class Uniforms:
    """Numbers in [0, 1), each parameter its own: what is turned off takes its numbers all the same, so that turning
    one way of change off leaves the others as they were."""

    def __init__(self, random: np.random.RandomState, count: int) -> None:
        self._numbers = random.random_sample(count).tolist()
        self._next = 0

    def take(self) -> float:
        """The next one."""
        number: float = self._numbers[self._next]
        self._next += 1
        return number

    def happens(self, chance: float) -> bool:
        """With this chance."""
        return self.take() < chance

    def between(self, bounds: tuple[float, float]) -> float:
        """Evenly between two numbers."""
        return bounds[0] + (bounds[1] - bounds[0]) * self.take()

    def around_one(self, bounds: tuple[float, float]) -> float:
        """With chance 1/2 evenly below 1, else above, as far as the bounds allow it."""
        below, share = self.take() < 0.5, self.take()
        low, high = (bounds[0], min(bounds[1], 1.0)) if below and bounds[0] < 1 else (max(bounds[0], 1.0), bounds[1])
        return low + (max(high, low) - low) * share


PLACE = 6  # numbers for where the patch lies
_ONCE, _PER_CHANNEL = 18, 12


def draw_changes(
    random: np.random.RandomState,
    start: np.ndarray,
    planes: Planes,
    size: Sequence[int],
    channels: int,
    augmentation: Augmentation,
) -> PatchDraw:
    """Draw how a patch at ``start`` is changed.

    Args:
        random: the numbers come from here, always as many.
        start: (3,) first voxel.
        planes: of the patch.
        size: (3,) of the patch.
        channels: of the image.
        augmentation: how often and how far.
    """  # fmt: skip
    uniforms = Uniforms(random, _ONCE + _PER_CHANNEL * channels)
    seed = int(random.randint(0, 2**63, dtype=np.int64))
    matrix = _draw_matrix(uniforms, planes, augmentation)
    turns = [uniforms.happens(augmentation.mirror) for _ in size]
    axes = range(3) if augmentation.mirror_axes is None else augmentation.mirror_axes
    mirrored = np.array([turns[axis] and side > 1 and axis - planes.first in axes for axis, side in enumerate(size)])
    bent = uniforms.happens(augmentation.elastic)
    noisy, noise = uniforms.happens(augmentation.noise), uniforms.take() * augmentation.noise_sd
    once = [uniforms.happens(getattr(augmentation, name)) for name in _EACH]
    rows = [_draw_channel(uniforms, once, augmentation) for _ in range(channels)]
    left = [
        [max(round(side * row[3]), 1) if free else side for side, free in zip(size, planes.free, strict=True)]
        for row in rows
    ]
    each = np.array(rows).T
    return PatchDraw(
        start=start,
        mirrored=mirrored,
        matrix=matrix,
        field=_draw_field(seed, planes, size, augmentation) if bent else None,
        noise=noise if noisy else 0.0,
        seed=seed,
        blur=each[0],
        brightness=each[1],
        contrast=each[2],
        low_resolution=np.array(left),
        gamma_inverted=each[4],
        gamma=each[5],
    )


_EACH = ("blur", "brightness", "contrast", "low_resolution", "gamma_inverted", "gamma")


def _draw_matrix(uniforms: Uniforms, planes: Planes, augmentation: Augmentation) -> np.ndarray | None:
    rotates, scales = uniforms.happens(augmentation.rotate), uniforms.happens(augmentation.scale)
    most = radians(planes.degrees)
    angles = [uniforms.between((-most, most)) for _ in range(3)]
    factor = uniforms.between(augmentation.scale_range)
    if not (rotates or scales):
        return None
    free = planes.free
    turns = [rotates and free[(axis + 1) % 3] and free[(axis + 2) % 3] for axis in range(3)]
    matrix = rotation([angle if turn else 0.0 for angle, turn in zip(angles, turns, strict=True)])
    return matrix * np.where(free, factor if scales else 1.0, 1.0)[:, None]


def _draw_channel(uniforms: Uniforms, once: Sequence[bool], augmentation: Augmentation) -> list[float]:
    """One channel's values of ``_EACH``."""
    blurred, lowered = uniforms.happens(0.5) and once[0], uniforms.happens(0.5) and once[3]
    values = [
        uniforms.between(augmentation.blur_sigma),
        uniforms.around_one(augmentation.brightness_range),
        uniforms.around_one(augmentation.contrast_range),
        uniforms.between(augmentation.low_resolution_range),
        uniforms.around_one(augmentation.gamma_range),
        uniforms.around_one(augmentation.gamma_range),
    ]
    applied = [blurred, once[1], once[2], lowered, once[4], once[5]]
    nothing = (0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    return [value if apply else none for value, apply, none in zip(values, applied, nothing, strict=True)]


def _draw_field(seed: int, planes: Planes, size: Sequence[int], augmentation: Augmentation) -> np.ndarray:
    spread = augmentation.elastic_shift * np.array(size) * planes.free
    points = np.random.default_rng(seed).standard_normal((CONTROLS, CONTROLS, 3, CONTROLS), dtype=np.float32)
    points *= spread.astype(np.float32)[:, None]
    return points
