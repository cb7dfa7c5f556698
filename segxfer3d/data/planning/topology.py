"""Spacing, patch and levels of a U-Net from the sizes of the data.

The rules are those of nnU-Net (Isensee et al. 2021, Nature Methods 18, supplementary note 2, and its experiment planner
in version 2.8.1), written anew. Axes are x, y, z; where two axes tie, the earlier counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segxfer3d.data.planning.fingerprint import Shape, Spacing

Triple = tuple[int, int, int]
NO_STEM: Triple = (1, 1, 1)

ANISOTROPY = 3.0  # the coarsest axis against the next coarsest, from where a grid counts as anisotropic
SMALLEST_MAP = 4  # voxels of a side below which an axis is not halved
_FIRST_VOXELS = 256**3  # the patch starts with as many, before the data's own size bounds it


@dataclass(frozen=True)
class Topology:
    """The levels of a U-Net, the finest first.

    Attributes:
        strides: of each level's first convolution, per axis; the first is 1, 1, 1.
        kernels: of each level's convolutions, per axis.
        stem: voxels per axis that become channels before the first level.
    """

    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]
    stem: Triple = NO_STEM

    @property
    def divisor(self) -> Triple:
        """What the sides of a patch have to be divisible by."""
        x, y, z = (math.prod(stride[axis] for stride in (self.stem, *self.strides)) for axis in range(3))
        return x, y, z

    def sizes(self, patch: Sequence[int]) -> list[Triple]:
        """Voxels of the feature maps at each level."""
        sizes: list[Triple] = []
        current = folded(patch, self.stem)
        for stride in self.strides:
            x, y, z = (-(-side // by) for side, by in zip(current, stride, strict=True))
            current = (x, y, z)
            sizes.append((x, y, z))
        return sizes


def target_spacing(shapes: Sequence[Shape], spacings: Sequence[Spacing]) -> tuple[Spacing, str]:
    """The spacing to resample to, and why: the median, but finer along the axis of thick slices.

    Where the coarsest axis is more than :data:`ANISOTROPY` times coarser than the next and has that much fewer voxels,
    it takes the 10th percentile of its spacings, not finer than the next axis: the median would make the finer cases
    lose slices.
    """
    target, size = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    coarse = target[worst] > ANISOTROPY * target[others].max()
    few = size[worst] * ANISOTROPY < size[others].min()
    why = "median of the training cases"
    if coarse and few:
        fine = float(np.percentile([spacing[worst] for spacing in spacings], 10))
        target[worst] = max(fine, float(target[others].max()))
        why += f"; {'xyz'[worst]} is over {ANISOTROPY:g} times coarser: its 10th percentile"
    x, y, z = (float(value) for value in target)
    return (x, y, z), why


def median_shape(shapes: Sequence[Shape], spacings: Sequence[Spacing], target: Spacing) -> tuple[float, float, float]:
    """Median voxels per axis of the cases after resampling."""
    resampled = [
        [round(n * s / t) for n, s, t in zip(shape, spacing, target, strict=True)]
        for shape, spacing in zip(shapes, spacings, strict=True)
    ]
    x, y, z = (float(value) for value in np.median(resampled, axis=0))
    return x, y, z


def first_patch(spacing: Spacing, shape: Sequence[float]) -> Triple:
    """The patch before memory and time bound it: a cube in millimeters of 256^3 voxels, not larger than the data."""
    density = 1 / np.array(spacing)
    cube = density * (_FIRST_VOXELS / density.prod()) ** (1 / 3)
    x, y, z = (max(1, math.ceil(min(round(float(side)), most))) for side, most in zip(cube, shape, strict=True))
    return x, y, z


def plan_topology(spacing: Spacing, patch: Sequence[int], stem: Triple = NO_STEM) -> Topology:
    """The levels for a patch, behind a stem those for what it makes of the patch.

    At each level those axes are halved that keep at least :data:`SMALLEST_MAP` voxels and whose spacing is by then
    within a factor of 2 of the finest such axis; a lone axis only while it has three times as many. An axis is
    convolved with 3 voxels from the level on where its spacing is within a factor of 2 of the finest, and with 1
    before; the coarsest level always with 3.
    """
    strides: list[Triple] = [(1, 1, 1)]
    kernels: list[Triple] = []
    size, current = list(folded(patch, stem)), list(_coarser(spacing, stem))
    while axes := _axes_to_halve(size, current):
        kernels.append(_kernel(current, kernels))
        x, y, z = (2 if axis in axes else 1 for axis in range(3))
        strides.append((x, y, z))
        for axis in axes:
            size[axis], current[axis] = -(-size[axis] // 2), current[axis] * 2
    return Topology(tuple(strides), (*kernels, (3, 3, 3)), stem)


def kernels_along(spacing: Spacing, strides: Sequence[Triple], stem: Triple = NO_STEM) -> tuple[Triple, ...]:
    """The kernels that :func:`plan_topology` would give to levels whose strides are set."""
    kernels: list[Triple] = []
    current = _coarser(_coarser(spacing, stem), strides[0])
    for stride in strides[1:]:
        kernels.append(_kernel(current, kernels))
        current = _coarser(current, stride)
    return (*kernels, (3, 3, 3))


def stem_for(spacing: Spacing, patch: Sequence[int]) -> Triple:
    """2 along the axes that a stem can halve, else 1.

    An axis is halved where its spacing is within a factor of 2 of the finest, and where the first level still has twice
    :data:`SMALLEST_MAP` voxels of it, so that it can be halved once more.
    """
    finest = min(spacing)
    x, y, z = (
        2 if length / finest < 2 and side >= 4 * SMALLEST_MAP else 1
        for side, length in zip(patch, spacing, strict=True)
    )
    return x, y, z


def folded(patch: Sequence[int], stem: Triple) -> Triple:
    """The sides of a patch behind a stem."""
    x, y, z = (-(-side // by) for side, by in zip(patch, stem, strict=True))
    return x, y, z


def _coarser(spacing: Spacing, by: Triple) -> Spacing:
    a, b, c = (length * factor for length, factor in zip(spacing, by, strict=True))
    return a, b, c


def padded(patch: Sequence[float], divisor: Sequence[int]) -> Triple:
    """The next larger patch that the divisor divides."""
    x, y, z = (math.ceil(side / by) * by for side, by in zip(patch, divisor, strict=True))
    return x, y, z


def next_sizes(patch: Sequence[int], divisor: Sequence[int]) -> tuple[Triple, Triple]:
    """The next smaller and the next larger patch that the divisor divides."""
    x, y, z = (max(by, side // by * by) for side, by in zip(patch, divisor, strict=True))
    return (x, y, z), padded(patch, divisor)


def sides(values: Sequence[float]) -> str:
    """Sides for a reader: ``40x56x40``."""
    return "x".join(f"{value:g}" for value in values)


def _axes_to_halve(size: Sequence[int], spacing: Sequence[float]) -> list[int]:
    long = [axis for axis in range(3) if size[axis] >= 2 * SMALLEST_MAP]
    if not long:
        return []
    finest = min(spacing[axis] for axis in long)
    axes = [axis for axis in long if spacing[axis] / finest < 2]
    return [] if len(axes) == 1 and size[axes[0]] < 3 * SMALLEST_MAP else axes


def _kernel(spacing: Sequence[float], before: Sequence[Triple]) -> Triple:
    finest = min(spacing)
    wide = [bool(before and before[-1][axis] == 3) or spacing[axis] / finest < 2 for axis in range(3)]
    x, y, z = (3 if each else 1 for each in wide)
    return x, y, z
